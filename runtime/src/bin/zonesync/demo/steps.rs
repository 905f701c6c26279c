//! What the demo shows, one function a step.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::Instant;

use serde_json::Value;
use zonesync::core::entity::Kind;
use zonesync::core::id::EntityKey;
use zonesync::core::time::Duration;
use zonesync::runtime::wall_now;
use zonesync::state::View;

use super::NODES;
use super::folder::{Folder, replace_word};
use super::pick::{Samples, apis, payload, text};
use super::report::{Report, spoken};
use super::zone::{PATIENCE, Zone, until};
use crate::failure::Failure;
use crate::table::{Cell, Table};

/// How long after the lease a successor may need.
const TAKE_OVER: Duration = Duration::from_secs(1);

/// An API that the demo added: its id, its file, and the text of that.
#[derive(Debug)]
pub(super) struct Added {
    id: String,
    path: PathBuf,
    text: String,
}

/// Step 1: nodes start and elect one of them.
pub(super) fn start(zone: &mut Zone, report: &mut Report<'_>) -> Result<(), Failure> {
    report.step("Three nodes start and elect a primary")?;
    let begun = Instant::now();
    for name in NODES {
        zone.start(name)?;
    }
    report.check(true, &format!("{} are started", NODES.join(", ")), &spoken(begun.elapsed()))?;
    let elected = until(|| zone.primary().map(|member| member.name));
    let name = elected.map_or("nobody", |(name, _)| name);
    let what = format!("{name} is primary");
    report.need(elected.is_some(), &what, &spoken(begun.elapsed()))
}

/// Step 2: all nodes hold the same state.
pub(super) fn sync(zone: &Zone, report: &mut Report<'_>) -> Result<(), Failure> {
    report.step("The primary reads and publishes, the others follow")?;
    let begun = Instant::now();
    for member in &zone.members {
        let ready = member.node.wait_ready(PATIENCE);
        let why = if ready { spoken(begun.elapsed()) } else { member.node.status().reason };
        report.need(ready, &format!("{} is ready", member.name), &why)?;
    }
    let digest = zone.agree();
    let mut table = Table::new(&[&["KIND"], &NODES[..]].concat());
    let views: Vec<View> = zone.members.iter().map(|m| m.node.state().view()).collect();
    for kind in Kind::KNOWN {
        let counts: Vec<u64> = views.iter().map(|view| view.digest().kind(*kind).count).collect();
        if counts.iter().any(|count| *count > 0) {
            let cells = counts.into_iter().map(Cell::number);
            table.row([Cell::from(kind.to_string().as_str())].into_iter().chain(cells).collect());
        }
    }
    report.table(&table)?;
    let count = views[0].digest().count();
    report.need(count > 0, "there is something to serve", &format!("{count} entities"))?;
    let text = digest.map_or("they differ".into(), |digest| digest.to_string());
    report.need(digest.is_some(), "all have the same digest", &text)
}

/// Step 4: somebody edits files.
pub(super) fn change(
    zone: &Zone,
    samples: &Samples,
    folder: &Folder,
    report: &mut Report<'_>,
) -> Result<Added, Failure> {
    report.step("Somebody revokes a key and adds an API")?;
    let added = new_api(zone, samples, folder)?;
    let revoked = folder.set_revoked(&samples.key.id, true)?;
    folder.write(&added.path, &added.text)?;
    report.note(&format!(
        "edited {}, added {}",
        folder.short(&revoked),
        folder.short(&added.path)
    ))?;
    let seen = zone.everywhere(|view| !opens(view, samples) && has_api(view, &added.id));
    each(report, "no longer lets the key in, and serves the API", seen)?;
    Ok(added)
}

/// Step 5: a file is broken; nothing else is.
pub(super) fn broken_file(
    zone: &Zone,
    samples: &Samples,
    folder: &Folder,
    added: &Added,
    report: &mut Report<'_>,
) -> Result<(), Failure> {
    report.step("Somebody breaks a file")?;
    let file = folder.short(&added.path);
    let quarantined = || zone.primary().map_or(0, |m| m.node.status().quarantined_total);
    let before = quarantined();
    let half =
        added.text.char_indices().nth(added.text.chars().count() / 2).map_or(0, |(at, _)| at);
    folder.write(&added.path, &added.text[..half])?;
    let found = until(|| {
        let status = zone.primary()?.node.status();
        status.quarantined.into_iter().find(|item| item.place.contains(&file))
    });
    let (text, time) = match found {
        Some((item, time)) => (format!("{}: {}", item.place, item.reason), spoken(time)),
        None => (String::new(), "it is not".into()),
    };
    report.check(!text.is_empty(), "it is quarantined", &time)?;
    report.note(&text)?;
    let kept = zone.members.iter().all(|m| has_api(&m.node.state().view(), &added.id));
    report.check(kept, "its API is served as it last was", "")?;
    folder.set_revoked(&samples.key.id, false)?;
    let seen = zone.everywhere(|view| opens(view, samples));
    each(report, "meanwhile lets the key in again", seen)?;
    folder.write(&added.path, &added.text)?;
    let healed = until(|| (quarantined() <= before).then_some(()));
    let time = healed.map_or("it is not".into(), |((), time)| spoken(time));
    report.check(healed.is_some(), "once repaired, it is taken again", &time)
}

/// Step 6: the primary dies.
pub(super) fn crash(
    zone: &mut Zone,
    samples: &Samples,
    folder: &Folder,
    report: &mut Report<'_>,
) -> Result<(), Failure> {
    report.step("The primary crashes")?;
    let before = zone.agree();
    let epoch = zone.epoch();
    let Some(dead) = zone.take_primary() else {
        return report.need(false, "there is a primary to kill", "");
    };
    let ttl = zone.setting.options.ttl;
    dead.node.kill();
    report.note(&format!("{} is killed; its lease of {} runs out", dead.name, spoken(ttl)))?;
    let taken = until(|| (zone.epoch() > epoch).then_some(()));
    let time = taken.map(|((), time)| time);
    let goal = ttl + TAKE_OVER;
    let what = format!("another publishes, within {}", spoken(goal));
    let in_time = time.is_some_and(|time| time <= goal);
    report.check(in_time, &what, &time.map_or("nobody does".into(), spoken))?;
    let (kept, what) = (before.is_some() && zone.agree() == before, "nothing is lost: same digest");
    report.check(kept, what, &before.map(|digest| digest.to_string()).unwrap_or_default())?;
    folder.set_revoked(&samples.key.id, true)?;
    let seen = zone.everywhere(|view| !opens(view, samples));
    each(report, "sees a key revoked after that", seen)?;
    return_of(dead.name, zone, report)
}

/// Step 7: the primary is stopped as it should be.
pub(super) fn clean_stop(zone: &mut Zone, report: &mut Report<'_>) -> Result<(), Failure> {
    report.step("The new primary is stopped cleanly")?;
    let before = zone.agree();
    let epoch = zone.epoch();
    let Some(old) = zone.take_primary() else {
        return report.need(false, "there is a primary to stop", "");
    };
    let begun = Instant::now();
    let stop = thread::scope(|scope| {
        // Beside us, so that the hand-over is timed from the wish and not from its end.
        scope.spawn(|| old.node.stop());
        until(|| (zone.epoch() > epoch).then(|| begun.elapsed()))
    });
    let time = stop.map(|(time, _)| time);
    let in_time = time.is_some_and(|time| time < zone.setting.options.ttl);
    let text = time.map_or("nobody does".into(), spoken);
    report.check(in_time, "another publishes, without waiting for the lease", &text)?;
    let kept = before.is_some() && zone.agree() == before;
    report.check(kept, "nothing is lost: same digest", "")?;
    return_of(old.name, zone, report)
}

/// Step 8: many files vanish at once.
pub(super) fn mass_deletion(
    zone: &Zone,
    folder: &Folder,
    report: &mut Report<'_>,
) -> Result<(), Failure> {
    report.step("Most API files vanish")?;
    let all = apis(&zone.view());
    let (last, doomed) = all.split_last().unwrap_or((const { &String::new() }, &[]));
    let spared = folder.api(last)?;
    let mut gone = Vec::new();
    for id in doomed {
        match folder.api(id)? {
            Some(path) if Some(&path) != spared.as_ref() => {
                fs::remove_file(&path)?;
                gone.push(id);
            }
            _ => {}
        }
    }
    let what = format!("{} of {} APIs lost their files", gone.len(), all.len());
    report.need(gone.len() >= 3, &what, "")?;
    let held = until(|| {
        let held = zone.primary()?.node.status().held;
        (!held.is_empty()).then_some(held)
    });
    let Some((held, time)) = held else {
        return report.need(false, "the removals are held back", "they are not");
    };
    report.check(true, "the removals are held back", &spoken(time))?;
    for held in held {
        report.note(&format!("{} {}: token {}", held.count, held.kind, held.token))?;
    }
    // Another read finds the same again; that confirms nothing.
    thread::sleep(zone.setting.options.poll * 2);
    let kept = |view: &View| gone.iter().all(|id| has_api(view, id));
    let served = zone.members.iter().all(|m| kept(&m.node.state().view()));
    report.check(served, "all nodes go on serving them", "")?;

    let begun = Instant::now();
    let confirmed = until(|| {
        // What hangs on the confirmed ones may be held in its turn.
        for held in zone.primary()?.node.status().held {
            zone.primary()?.node.confirm_removal(&held.token);
        }
        let left = |view: &View| gone.iter().any(|id| has_api(view, id));
        let any_left = zone.members.iter().any(|m| left(&m.node.state().view()));
        (!any_left).then(|| begun.elapsed())
    });
    let text = confirmed.map_or("they are not".into(), |(time, _)| spoken(time));
    report.check(
        confirmed.is_some(),
        "confirmed with the token, they are gone everywhere",
        &text,
    )?;
    let rest = zone.members.iter().all(|m| has_api(&m.node.state().view(), last));
    report.check(rest && zone.agree().is_some(), "the rest is served, same digest everywhere", "")
}

/// Starts a node again that was stopped or killed.
fn return_of(name: &'static str, zone: &mut Zone, report: &mut Report<'_>) -> Result<(), Failure> {
    let begun = Instant::now();
    zone.start(name)?;
    let ready = zone.members.last().is_some_and(|member| member.node.wait_ready(PATIENCE));
    let what = format!("{name} starts again and is ready");
    report.need(ready, &what, &spoken(begun.elapsed()))
}

fn each(
    report: &mut Report<'_>,
    what: &str,
    seen: Vec<(&str, Option<Duration>)>,
) -> Result<(), Failure> {
    for (name, time) in seen {
        let text = time.map_or("it does not".into(), spoken);
        report.check(time.is_some(), &format!("{name} {what}"), &text)?;
    }
    Ok(())
}

fn opens(view: &View, samples: &Samples) -> bool {
    let key = &samples.key;
    view.by_key(&key.api, &key.value, None, wall_now()).is_some()
}

fn has_api(view: &View, id: &str) -> bool {
    view.get(EntityKey::new(Kind::API, id)).is_some()
}

/// Writes a new API after the model of the one that the sample key opens.
fn new_api(zone: &Zone, samples: &Samples, folder: &Folder) -> Result<Added, Failure> {
    let model = &samples.key.api;
    let lacks = || Failure::Refused(format!("no file defines the API {model}"));
    let source = folder.api(model)?.ok_or_else(lacks)?;
    let payload = payload(&zone.view(), Kind::API, model).ok_or_else(lacks)?;
    let mut own = vec![model.clone()];
    own_names(&payload["definition"], &mut own);
    let text = own.iter().fold(fs::read_to_string(&source)?, |text, name| {
        replace_word(&text, name, &format!("{name}-new"))
    });
    let stem = source.file_stem().unwrap_or_default().to_string_lossy();
    let ending = source.extension().unwrap_or_default().to_string_lossy();
    let path = source.with_file_name(format!("{stem}-new.{ending}"));
    Ok(Added { id: format!("{model}-new"), path, text })
}

/// Gathers what no two APIs may share: ids of plans, and paths.
fn own_names(definition: &Value, own: &mut Vec<String>) {
    let members = |name: &str| definition[name].as_array().cloned().unwrap_or_default();
    let paths = members("listeners").into_iter().filter_map(|l| l["paths"].as_array().cloned());
    let hosts = definition["proxy"]["virtual_hosts"].as_array().cloned().unwrap_or_default();
    let paths = paths.flatten().chain(hosts).filter_map(|path| text(&path, "path"));
    own.extend(members("plans").iter().filter_map(|plan| text(plan, "id")));
    own.extend(paths.map(|path| path.trim_end_matches('/').to_owned()));
    own.retain(|name| !name.is_empty());
    own.sort();
    own.dedup();
}
