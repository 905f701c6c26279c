//! A node's status for people.
//!
//! Read from JSON rather than from our own type: a newer node may say more, or leave something out.

use std::io;

use serde_json::Value;

use crate::screen::{Screen, Style, clean, thousands};
use crate::table::{Cell, Table};

/// Says in one line how a node is.
pub(crate) fn headline(status: &Value, screen: &Screen) -> String {
    let yes = |name: &str| status[name].as_bool().unwrap_or(false);
    let (ready, in_sync) = (yes("ready"), yes("in_sync"));
    let (word, style) = match (ready, yes("stale"), in_sync) {
        (false, _, _) => ("not ready", Style::Bad),
        (true, true, _) => ("ready, with a stale state", Style::Warn),
        (true, false, false) => ("ready, not in sync", Style::Warn),
        (true, false, true) => ("ready and in sync", Style::Good),
    };
    let mut line = format!(
        "{} is {} of zone {} at {}: {}",
        screen.paint(&text(status, "node"), Style::Strong),
        text(status, "role"),
        text(status, "zone"),
        text(status, "position"),
        screen.paint(word, style),
    );
    if !ready || !in_sync {
        let lag = status["lag_ms"].as_u64().unwrap_or(0);
        line += &format!(", for {} ms: {}", thousands(lag), text(status, "reason"));
    }
    line
}

/// Writes everything that a status says.
pub(crate) fn print(status: &Value, screen: &mut Screen) -> io::Result<()> {
    screen.line(&headline(status, screen))?;
    if let Some(why) = status["failed"].as_str() {
        let word = screen.paint("failed", Style::Bad);
        screen.line(&format!("  {word}       {}", clean(why)))?;
    }
    let primary = match status["primary"].as_str() {
        Some(name) => clean(name),
        None => screen.paint("not known", Style::Warn),
    };
    fact(screen, "primary", &primary)?;
    fact(screen, "term", &text(status, "term"))?;
    fact(screen, "instance", &text(status, "instance"))?;
    fact(screen, "digest", &text(status, "digest"))?;
    for name in ["store", "repository"] {
        fact(screen, name, &link(&status[name], screen))?;
    }
    if status["image"].is_object() {
        fact(screen, "image", &image(&status["image"], screen))?;
    }
    if let Some(counters) = status["counters"].as_object() {
        let count = |(name, value): (&String, &Value)| {
            format!("{} {}", clean(name), thousands(value.as_u64().unwrap_or(0)))
        };
        fact(screen, "counters", &counters.iter().map(count).collect::<Vec<_>>().join(", "))?;
    }
    counts(status, screen)?;
    held(status, screen)?;
    quarantined(status, screen)
}

/// Writes what the live nodes of the zone last reported.
pub(crate) fn print_zone(status: &Value, screen: &mut Screen) -> io::Result<()> {
    let columns = ["NODE", "ROLE", "POSITION", "BEHIND", "ENTITIES", "DIGEST", "MAY LEAD"];
    let mut table = Table::new(&columns);
    for node in list(status, "zone_nodes") {
        let number = |name: &str| Cell::number(node[name].as_u64().unwrap_or(0));
        let style = if node["agrees"] == true { Style::Plain } else { Style::Bad };
        let may_lead = if node["can_stand"] == true { "yes" } else { "no" };
        table.row(vec![
            Cell::new(&text(node, "node"), Style::Strong),
            text(node, "role").as_str().into(),
            text(node, "position").as_str().into(),
            number("behind"),
            number("count"),
            Cell::new(&text(node, "digest"), style),
            may_lead.into(),
        ]);
    }
    screen.line(&format!("zone {}", screen.paint(&text(status, "zone"), Style::Strong)))?;
    let link = link(&status["store"], screen);
    fact(screen, "store", &link)?;
    under(screen, "", &table, list(status, "zone_nodes").is_empty())
}

fn counts(status: &Value, screen: &mut Screen) -> io::Result<()> {
    let mut table = Table::new(&["KIND", "COUNT"]);
    for kind in list(status, "counts") {
        let count = Cell::number(kind["count"].as_u64().unwrap_or(0));
        table.row(vec![text(kind, "kind").as_str().into(), count]);
    }
    under(screen, "", &table, list(status, "counts").is_empty())
}

fn held(status: &Value, screen: &mut Screen) -> io::Result<()> {
    let mut table = Table::new(&["KIND", "COUNT", "TOKEN"]);
    for held in list(status, "held") {
        let count = Cell::number(held["count"].as_u64().unwrap_or(0));
        let token = Cell::new(&text(held, "token"), Style::Strong);
        table.row(vec![text(held, "kind").as_str().into(), count, token]);
    }
    let title = "held back until `zonesync confirm-removal TOKEN`:";
    under(screen, title, &table, list(status, "held").is_empty())
}

fn quarantined(status: &Value, screen: &mut Screen) -> io::Result<()> {
    let mut table = Table::new(&["PLACE", "REASON"]);
    for item in list(status, "quarantined") {
        table.row(vec![text(item, "place").as_str().into(), text(item, "reason").as_str().into()]);
    }
    let total = status["quarantined_total"].as_u64().unwrap_or(0);
    let title = format!("{} cannot be used; the rest goes on:", thousands(total));
    under(screen, &title, &table, list(status, "quarantined").is_empty())
}

/// Writes a table under a title, if it has rows.
fn under(screen: &mut Screen, title: &str, table: &Table, empty: bool) -> io::Result<()> {
    if empty {
        return Ok(());
    }
    screen.line("")?;
    if !title.is_empty() {
        screen.line(&screen.paint(title, Style::Warn))?;
    }
    table.print(screen)
}

fn link(link: &Value, screen: &Screen) -> String {
    let state = text(link, "state");
    let style = match state.as_str() {
        "up" => Style::Good,
        "down" => Style::Bad,
        _ => Style::Dim,
    };
    match link["error"].as_str() {
        Some(error) => format!("{}  {}", screen.paint(&state, style), clean(error)),
        None => screen.paint(&state, style),
    }
}

fn image(image: &Value, screen: &Screen) -> String {
    let number = |name: &str| thousands(image[name].as_u64().unwrap_or(0));
    let stands = match image["position"].as_str() {
        Some(position) => format!(
            "{} known as the newest {} ms ago, snapshot {} bytes, journal {} bytes",
            clean(position),
            number("age_ms"),
            number("snapshot_bytes"),
            number("journal_bytes"),
        ),
        None => screen.paint("none yet", Style::Warn),
    };
    match image["error"].as_str() {
        Some(error) => format!("{stands}  {}", screen.paint(&clean(error), Style::Bad)),
        None => stands,
    }
}

fn fact(screen: &mut Screen, name: &str, value: &str) -> io::Result<()> {
    screen.line(&format!("  {name:<12} {value}"))
}

fn text(value: &Value, name: &str) -> String {
    clean(value[name].as_str().unwrap_or("?"))
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}
