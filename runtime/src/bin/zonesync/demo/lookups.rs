//! Step 3: the lookups that a gateway makes on each request, and what one costs.

use std::hint::black_box;
use std::time::Instant;

use zonesync::core::entity::Kind;
use zonesync::runtime::wall_now;
use zonesync::state::Subscription;

use super::pick::{Key, Samples, payload, text};
use super::report::Report;
use super::zone::Zone;
use crate::failure::Failure;
use crate::screen::thousands;

/// Shows lookups that find and lookups that do not.
pub(super) fn show(
    zone: &Zone,
    samples: &Samples,
    times: u32,
    report: &mut Report<'_>,
) -> Result<(), Failure> {
    report.step(&format!("Lookups, each made {} times", thousands(times.into())))?;
    let at = wall_now();
    let state = zone.members[0].node.state();
    let view = state.view();
    let name = |api: &str| {
        let definition =
            payload(&view, Kind::API, api).map(|payload| payload["definition"].clone());
        definition.and_then(|d| text(&d, "name")).unwrap_or_else(|| api.to_owned())
    };

    for (key, what) in [(&samples.key, "an API key"), (&samples.product_key, "a key of a product")]
    {
        let leads =
            |found: Subscription<'_>| found.id() == key.subscription && found.plan() == key.plan;
        let measured =
            measure(times, || state.by_key(&key.api, &key.value, None, at, leads) == Some(true));
        let about = about(&view, key);
        shown(report, measured, &format!("{what} opens {}", name(&key.api)), &about)?;
    }

    let Key { api, value, .. } = &samples.key;
    let strange = format!("{value}x");
    let measured = measure(times, || state.by_key(api, &strange, None, at, |_| ()).is_none());
    shown(report, measured, "an unknown key opens nothing", "")?;
    let opens =
        |key: &String| samples.apis.iter().any(|api| view.by_key(api, key, None, at).is_some());
    let revoked = &samples.revoked[0];
    let measured = measure(times, || state.by_key(api, revoked, None, at, |_| ()).is_none());
    let measured = measured.filter(|_| !samples.revoked.iter().any(opens));
    shown(report, measured, "a revoked key opens nothing, on any API", "")?;

    let client = &samples.client;
    let measured = measure(times, || {
        let found = view.by_client(&client.api, &client.id, None, at);
        found.is_some_and(|found| found.id() == client.subscription)
    });
    shown(report, measured, &format!("client {} opens {}", client.id, name(&client.api)), "")?;

    let property = &samples.property;
    let measured = measure(times, || {
        let found =
            view.dictionary_property(&property.environment, &property.dictionary, &property.name);
        found == Some(&property.value)
    });
    let what =
        format!("dictionary {}: {} is {}", property.dictionary, property.name, property.value);
    shown(report, measured, &what, "")
}

/// Says where a key leads.
fn about(view: &zonesync::state::View, key: &Key) -> String {
    let subscription = view.subscription(&key.subscription);
    let payload = subscription.and_then(|s| serde_json::from_slice(s.payload()).ok());
    let application = payload.and_then(|payload| text(&payload, "application"));
    let application = application.map(|name| format!(", application {name}")).unwrap_or_default();
    format!("plan {}{application}", key.plan)
}

/// Makes a lookup many times; gives the nanoseconds of one, or none if one of them went wrong.
fn measure(times: u32, mut right: impl FnMut() -> bool) -> Option<f64> {
    let begun = Instant::now();
    let mut all_right = true;
    for _ in 0..times {
        all_right &= black_box(right());
    }
    let nanos = begun.elapsed().as_nanos() as f64 / f64::from(times);
    all_right.then_some(nanos)
}

fn shown(
    report: &mut Report<'_>,
    measured: Option<f64>,
    what: &str,
    about: &str,
) -> Result<(), Failure> {
    let cost = measured.map_or("not so".into(), |nanos| format!("{nanos:>6.0} ns"));
    report.check(measured.is_some(), what, &format!("{cost}   {about}"))
}
