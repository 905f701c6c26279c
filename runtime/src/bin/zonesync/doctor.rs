//! `doctor`: is the zone's Redis as a zone needs it, and how is the zone?

use std::sync::Arc;

use zonesync::config::{self, Store};
use zonesync::runtime::Smol;
use zonesync::store::redis::doctor::{Finding, Level, examine};

use crate::args::{Common, Configured};
use crate::configured::sources;
use crate::failure::Failure;
use crate::screen::{Screen, Style, clean};

/// Examines the Redis that a configuration names.
pub(crate) fn doctor(
    options: &Configured,
    common: &Common,
    screen: &mut Screen,
) -> Result<(), Failure> {
    let usage = |error: &dyn std::fmt::Display| Failure::Usage(error.to_string());
    let loaded = config::load(&sources(options, common)?).map_err(|error| usage(&error))?;
    let settings = &loaded.settings;
    let Some(Store::Redis(redis)) = &settings.store else {
        let text = "the configuration names no Redis to examine: set zonesync.store: redis";
        return Err(Failure::Usage(text.to_owned()));
    };
    let mut redis = redis.options().map_err(|error| usage(&error))?;
    redis.encryption = settings.encryption.open().map_err(|error| usage(&error))?;
    let candidate = settings.options().candidate;
    let runtime = Arc::new(Smol::new(1)?);
    let examined =
        futures_lite::future::block_on(examine(&settings.zone, &redis, candidate, runtime));
    if screen.json {
        screen.document(&examined.findings)?;
    } else {
        examined.findings.iter().try_for_each(|finding| print(finding, screen))?;
    }
    match examined.bad() {
        _ if !examined.reached => Err(Failure::NoAnswer("Redis is not reached".to_owned())),
        0 => Ok(()),
        1 => Err(Failure::NotThere("one finding is bad".to_owned())),
        bad => Err(Failure::NotThere(format!("{bad} findings are bad"))),
    }
}

fn print(finding: &Finding, screen: &mut Screen) -> std::io::Result<()> {
    let (word, style) = match finding.level {
        Level::Good => ("good", Style::Good),
        Level::Note => ("note", Style::Plain),
        Level::Doubtful => ("doubtful", Style::Warn),
        Level::Bad => ("bad", Style::Bad),
    };
    let word = screen.paint(&format!("{word:<8}"), style);
    screen.line(&format!("{word}  {:<12}  {}", finding.what, clean(&finding.told)))?;
    match &finding.advice {
        Some(advice) => screen.line(&format!("{:24}-> {}", "", clean(advice))),
        None => Ok(()),
    }
}
