//! `config`: what a configuration comes to, and where each value comes from.

use serde::Serialize;
use zonesync::config::{self, Explained, Origin, Problem};

use crate::args::{Common, Config};
use crate::configured::sources;
use crate::failure::Failure;
use crate::screen::{Screen, Style, clean};
use crate::table::{Cell, Table};

/// All of it, for machines.
#[derive(Serialize)]
struct Document {
    settings: Vec<Line>,
    problems: Vec<Note>,
    warnings: Vec<Note>,
    notes: Vec<Note>,
}

/// One key.
#[derive(Serialize)]
struct Line {
    key: String,
    value: Option<String>,
    #[serde(flatten)]
    from: From,
}

/// What is wrong, doubtful or worth knowing.
#[derive(Serialize)]
struct Note {
    #[serde(flatten)]
    about: Line,
    message: String,
}

/// Where a value comes from.
#[derive(Serialize)]
struct From {
    source: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
}

/// Shows a configuration, and whether a node could start from it.
pub(crate) fn config(
    options: &Config,
    common: &Common,
    screen: &mut Screen,
) -> Result<(), Failure> {
    let loaded = match config::load(&sources(&options.configured, common)?) {
        Ok(loaded) => loaded,
        Err(error) => {
            if screen.json {
                let problems = error.problems.iter().map(note).collect();
                let (settings, warnings, notes) = Default::default();
                screen.document(&Document { settings, problems, warnings, notes })?;
            }
            return Err(Failure::Usage(error.to_string()));
        }
    };
    let shown = |line: &&Explained| !options.set || line.origin != Origin::Default;
    let lines = loaded.explain.iter().filter(shown);
    if screen.json {
        screen.document(&Document {
            settings: lines.map(explained).collect(),
            problems: Vec::new(),
            warnings: loaded.warnings.iter().map(note).collect(),
            notes: loaded.notes.iter().map(note).collect(),
        })?;
        return Ok(());
    }
    let mut table = Table::new(&["KEY", "VALUE", "FROM"]);
    for line in lines {
        let value = line.value.as_deref().unwrap_or("");
        let style = if line.origin == Origin::Default { Style::Dim } else { Style::Plain };
        let from = Cell::new(&line.origin.to_string(), style);
        table.row(vec![line.key.as_str().into(), value.into(), from]);
    }
    table.print(screen)?;
    for (heading, notes) in [("warning", &loaded.warnings), ("note", &loaded.notes)] {
        for note in notes {
            let style = if heading == "warning" { Style::Warn } else { Style::Dim };
            let line = format!(
                "{} {}",
                screen.paint(&format!("{heading}:"), style),
                clean(&note.to_string())
            );
            screen.line(&line)?;
        }
    }
    Ok(())
}

fn explained(line: &Explained) -> Line {
    Line { key: line.key.clone(), value: line.value.clone(), from: from(&line.origin) }
}

fn note(problem: &Problem) -> Note {
    let about = Line {
        key: problem.key.clone(),
        value: problem.value.clone(),
        from: from(&problem.origin),
    };
    Note { about, message: problem.message.clone() }
}

fn from(origin: &Origin) -> From {
    let from =
        |source, name: Option<&str>, line| From { source, name: name.map(str::to_owned), line };
    match origin {
        Origin::File { name, line } => from("file", Some(name), (*line > 0).then_some(*line)),
        Origin::Variable(name) => from("variable", Some(name), None),
        Origin::Property(name) => from("property", Some(name), None),
        _ => from("default", None, None),
    }
}
