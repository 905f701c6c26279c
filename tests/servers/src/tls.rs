//! A TLS server by `openssl s_server`, which sends each line back in reverse.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::free_port;

/// A running server, killed when it goes.
#[derive(Debug)]
pub struct TlsServer {
    child: Child,
    port: u16,
}

impl TlsServer {
    /// Starts one in `folder` with these arguments. Takes one connection after the other.
    pub fn start(folder: &Path, arguments: &str) -> Self {
        for _ in 0..5 {
            let port = free_port();
            let mut child = Command::new("openssl")
                .args(["s_server", "-rev", "-accept", &format!("127.0.0.1:{port}")])
                .args(arguments.split_whitespace())
                .current_dir(folder)
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .expect("there is openssl");
            let mut out = BufReader::new(child.stdout.take().expect("it was asked for"));
            let mut line = String::new();
            // It says so when it listens; if the port was taken meanwhile, it ends.
            while out.read_line(&mut line).is_ok_and(|read| read > 0) {
                if line.starts_with("ACCEPT") {
                    std::thread::spawn(move || drain(out));
                    return Self { child, port };
                }
                line.clear();
            }
            let _ = child.wait();
        }
        panic!("openssl s_server {arguments} does not come up");
    }

    /// Gives its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads what a server says, so that it never waits for a reader.
fn drain(mut out: impl Read) {
    let mut buffer = [0; 4096];
    while out.read(&mut buffer).is_ok_and(|read| read > 0) {}
}
