//! A failure in plain words: what happened to the zone, and to the entity it is about.

use std::fmt::Write;

use crate::executor::Time;
use crate::plan::{Act, Plan};
use crate::shrink::shrink;
use crate::watch::Broken;
use crate::world::{clock, run_telling};

/// The last lines are told, so many.
const LINES: usize = 45;

/// Tells how a plan breaks a promise, after cutting it down.
pub fn tell(plan: &Plan, broken: &Broken) -> String {
    let (short, last) = shrink(plan, broken);
    let ending = run_telling(&short, last.key.clone());
    let mut text = String::new();
    let faults = short.acts.iter().filter(|(_, act)| matches!(act, Act::Fault(_))).count();
    let changes = short.acts.len() - faults;
    let _ = writeln!(
        text,
        "cut down from {} acts to {changes} changes and {faults} faults among {} nodes:",
        plan.acts.len(),
        short.slots.len(),
    );
    let lines = joined(&ending.trace);
    let skipped = lines.len().saturating_sub(LINES);
    if skipped > 0 {
        let _ = writeln!(text, "  ({skipped} earlier lines)");
    }
    for (at, line) in &lines[skipped..] {
        let _ = writeln!(text, "  {} {line}", clock(*at));
    }
    text
}

/// Joins lines that say the same of one thing after the other.
pub fn joined(trace: &[(Time, String)]) -> Vec<(Time, String)> {
    let mut lines: Vec<(Time, String)> = Vec::new();
    let mut first = String::new();
    for (at, line) in trace {
        let Some((who, what)) = line.split_once(" publishes ") else {
            lines.push((*at, line.clone()));
            first.clear();
            continue;
        };
        let head = what.split(' ').next().unwrap_or_default();
        let rest = &what[head.len()..];
        let joins = !first.is_empty()
            && lines.last().is_some_and(|(_, last)| {
                last.starts_with(&format!("{who} publishes {first}")) && last.ends_with(rest)
            });
        if joins {
            if let Some(last) = lines.last_mut() {
                last.1 = format!("{who} publishes {first} to {head}{rest}");
            }
        } else {
            head.clone_into(&mut first);
            lines.push((*at, line.clone()));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_that_follow_each_other_are_one_line() {
        let line = |at, text: &str| (at, text.to_owned());
        let trace = [
            line(1, "node 1 publishes e1-s1 at server 0: Done"),
            line(2, "node 1 publishes e1-s2 at server 0: Done"),
            line(3, "node 1 publishes e1-s3 at server 0: Done"),
            line(4, "node 2 dies"),
            line(5, "node 1 publishes e1-s4 at server 0: Refused"),
        ];
        let told: Vec<_> = joined(&trace).into_iter().map(|(_, line)| line).collect();
        assert_eq!(
            told,
            [
                "node 1 publishes e1-s1 to e1-s3 at server 0: Done",
                "node 2 dies",
                "node 1 publishes e1-s4 at server 0: Refused",
            ]
        );
    }
}
