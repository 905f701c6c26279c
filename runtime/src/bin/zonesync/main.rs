//! The command line of zonesync.
//!
//! `run` starts a node, `demo` shows a zone at work, `doctor` examines its Redis, and the other commands ask a running node
//! through its socket. Start reading at [`args`]; [`ask`] holds the commands that ask.

mod args;
mod ask;
mod config;
mod configured;
mod demo;
mod doctor;
mod failure;
mod run;
mod screen;
mod signal;
mod status;
mod table;
mod verify;

use std::process::ExitCode;

use clap::Parser;

use args::{Arguments, Command};
use screen::Screen;

fn main() -> ExitCode {
    let Arguments { common, command } = Arguments::parse();
    let mut screen = Screen::open(&common);
    let done = match command {
        Command::Run(options) => run::run(&options, &common),
        Command::Config(options) => config::config(&options, &common, &mut screen),
        Command::Doctor(options) => doctor::doctor(&options, &common, &mut screen),
        Command::Demo(options) => demo::demo(&options, &mut screen),
        Command::Verify(options) => verify::verify(&options, &common, &mut screen),
        Command::Ask(question) => ask::ask(&question, &common, &mut screen),
    };
    match done.and_then(|()| Ok(screen.flush()?)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(&screen),
    }
}
