//! The state against its model, and what the model does not say.

use proptest::prelude::*;
use zonesync_core::digest::{Digest, DigestKey};
use zonesync_core::entity::{Action, Change, Kind};
use zonesync_core::id::{EntityKey, EntityKeyBuf, Epoch, Position, Sequence, Term, TermId};
use zonesync_core::time::{Duration, WallTime};

use super::certificate::thumbprints;
use super::model::{By, Model, md5_hex};
use super::{Bulk, FeedError, State, View, Writer};

const KEY: DigestKey = DigestKey([7; 16]);

pub(super) fn at_sequence(sequence: u64) -> Position {
    let term = Term { epoch: Epoch(1), id: TermId(1) };
    Position { term, sequence: Sequence(sequence) }
}

fn apply(writer: &mut Writer, sequence: u64, changes: &[(EntityKeyBuf, Option<Vec<u8>>)]) {
    let mut changes = changes.iter().map(|(key, payload)| Change {
        key: key.as_ref(),
        action: match payload {
            Some(payload) => Action::Deploy { payload },
            None => Action::Undeploy,
        },
        replaces: None,
        version: None,
    });
    writer.apply(at_sequence(sequence), &mut changes);
}

fn pem(name: &str) -> String {
    use base64::Engine;
    let der = base64::engine::general_purpose::STANDARD.encode(name);
    format!("-----BEGIN CERTIFICATE-----\\n{der}\\n-----END CERTIFICATE-----")
}

const SCOPES: [&str; 5] = ["a1", "a2", "p1", "p2", "p3"];
const APIS: [&str; 2] = ["a1", "a2"];
const IDS: [&str; 4] = ["s1", "s2", "s3", "s4"];
const PLANS: [&str; 3] = ["plan1", "plan2", "plan3"];
const TEXTS: [&str; 3] = ["t1", "t\"2", "t3"];
const TIMES: [i64; 4] = [0, 999, 1_000, 2_500];

fn one_of(all: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    prop::sample::select(all)
}

fn time() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => Just("null".to_owned()),
        3 => (0..3_000_i64).prop_map(|t| t.to_string()),
        1 => prop::sample::select(&TIMES[..]).prop_map(|t| t.to_string()),
    ]
}

/// A payload that is now and then not what it should be.
fn spoilt(payload: impl Strategy<Value = String>) -> impl Strategy<Value = Vec<u8>> {
    let bad = one_of(&["", "{", "[]", "{}", "{\"plan\":3,\"key\":4}"]);
    prop_oneof![9 => payload, 1 => bad.prop_map(str::to_owned)].prop_map(String::into_bytes)
}

fn subscription() -> impl Strategy<Value = (EntityKeyBuf, Vec<u8>)> {
    let status = one_of(&["ACCEPTED", "ACCEPTED", "ACCEPTED", "CLOSED", "PAUSED"]);
    let certificate = prop_oneof![3 => Just(String::new()), 1 => one_of(&TEXTS).prop_map(|t| {
        pem(&t.replace('"', "'"))
    })];
    let parts = (one_of(&PLANS), one_of(&TEXTS), certificate, status, time(), time());
    let payload = parts.prop_map(|(plan, client, certificate, status, from, until)| {
        let client = client.replace('"', "\\\"");
        format!(
            r#"{{"plan":"{plan}","clientId":"{client}","clientCertificate":"{certificate}",
            "status":"{status}","startingAt":{from},"endingAt":{until}}}"#
        )
    });
    (one_of(&SCOPES), one_of(&IDS), spoilt(payload))
        .prop_map(|(scope, id, payload)| (EntityKey::subscription(scope, id).into(), payload))
}

fn api_key() -> impl Strategy<Value = (EntityKeyBuf, Vec<u8>)> {
    let flags =
        one_of(&["", "", "", r#","revoked":true"#, r#","paused":true"#, r#","active":false"#]);
    let payload = (one_of(&TEXTS), flags, time()).prop_map(|(key, flags, expires)| {
        let key = key.replace('"', "\\\"");
        format!(r#"{{"id":"k1","key":"{key}","expireAt":{expires}{flags}}}"#)
    });
    (one_of(&SCOPES), one_of(&["k1", "k2"]), one_of(&IDS), spoilt(payload)).prop_map(
        |(scope, id, subscription, payload)| {
            (EntityKey::api_key(scope, id, subscription).into(), payload)
        },
    )
}

fn other() -> impl Strategy<Value = (EntityKeyBuf, Vec<u8>)> {
    let environment = || one_of(&["", "E", "F"]);
    let plans = one_of(&["[]", r#"[{"status":"published"}]"#, r#"[{"status":"deprecated"}]"#]);
    let apis = prop::collection::vec(one_of(&APIS), 0..3);
    let product = (environment(), apis, plans).prop_map(|(e, apis, plans)| {
        format!(r#"{{"environmentId":"{e}","apiIds":{apis:?},"plans":{plans}}}"#)
    });
    let api = environment().prop_map(|e| format!(r#"{{"environmentId":"{e}","definition":{{}}}}"#));
    let name = one_of(&["", "d1", "d2", "n1"]);
    let dictionary = (environment(), name, one_of(&TEXTS[..1])).prop_map(|(e, name, text)| {
        format!(r#"{{"environmentId":"{e}","key":"{name}","properties":{{"p":"{text}{name}"}}}}"#)
    });
    prop_oneof![
        (one_of(&SCOPES[2..]), spoilt(product)).prop_map(|(id, p)| (Kind::API_PRODUCT, id, p)),
        (one_of(&APIS), spoilt(api)).prop_map(|(id, p)| (Kind::API, id, p)),
        (one_of(&["d1", "d2", "d3"]), spoilt(dictionary)).prop_map(|(id, p)| (
            Kind::DICTIONARY,
            id,
            p
        )),
        (one_of(&["o1"]), Just(b"x".to_vec())).prop_map(|(id, p)| (Kind::ORGANIZATION, id, p)),
    ]
    .prop_map(|(kind, id, payload)| (EntityKey::new(kind, id).into(), payload))
}

#[derive(Clone, Debug)]
enum Do {
    Deploy(EntityKeyBuf, Vec<u8>),
    Undeploy(prop::sample::Index),
    Reject(prop::sample::Index),
}

fn steps() -> impl Strategy<Value = Vec<Do>> {
    let deploy = || {
        prop_oneof![4 => subscription(), 4 => api_key(), 3 => other()]
            .prop_map(|(key, payload)| Do::Deploy(key, payload))
    };
    let step = prop_oneof![
        12 => deploy(),
        3 => any::<prop::sample::Index>().prop_map(Do::Undeploy),
        1 => any::<prop::sample::Index>().prop_map(Do::Reject),
    ];
    prop::collection::vec(step, 1..120)
}

/// Asks the view all that can be asked, and the model the same.
fn compare(view: &View, model: &Model) -> Result<(), TestCaseError> {
    let plans = PLANS.iter().map(|plan| Some(*plan)).chain([None]);
    for plan in plans {
        for (api, text) in SCOPES.iter().flat_map(|api| TEXTS.iter().map(move |text| (*api, *text)))
        {
            for at in TIMES {
                let time = WallTime::from_millis(at);
                let print = thumbprints(&pem(&text.replace('"', "'")).replace("\\n", "\n"));
                let md5 = md5_hex(text);
                let found = [
                    (By::Key, text, view.by_key(api, text, plan, time)),
                    (By::Md5, &md5, view.by_md5(api, &md5, plan, time)),
                    (By::Client, text, view.by_client(api, text, plan, time)),
                    (By::Certificate, &print, view.by_certificate(api, &print, plan, time)),
                ];
                for (by, text, found) in found {
                    let found = found.map(|s| (s.scope().to_owned(), s.id().to_owned()));
                    let wanted = model.find(by, api, text, plan, at);
                    prop_assert_eq!(found, wanted, "{:?} {} {} {:?} {}", by, api, text, plan, at);
                }
            }
        }
    }
    for id in IDS {
        let found = view.subscription(id).map(|s| (s.scope().to_owned(), s.id().to_owned()));
        prop_assert_eq!(found, model.subscription(id), "{}", id);
    }
    for (environment, name) in
        ["", "E", "F"].iter().flat_map(|e| ["d1", "d2", "d3", "n1"].map(|n| (*e, n)))
    {
        let found = view.dictionary_property(environment, name, "p").map(str::to_owned);
        prop_assert_eq!(found, model.property(environment, name, "p"), "{} {}", environment, name);
    }
    let listed: Vec<_> =
        view.sorted().map(|(key, payload)| (key.into(), payload.to_vec())).collect();
    let all: Vec<(EntityKeyBuf, Vec<u8>)> = model.entities.clone().into_iter().collect();
    prop_assert_eq!(listed, all);
    let mut digest = Digest::EMPTY;
    for (key, payload) in &model.entities {
        prop_assert_eq!(view.get(key.as_ref()), Some(&payload[..]));
        digest.add(key.as_ref().kind, KEY.version(key.as_ref(), payload));
    }
    prop_assert_eq!(view.digest(), &digest);
    prop_assert_eq!(view.unusable().total, model.unusable());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn the_state_answers_as_its_model(steps in steps(), per_batch in 1_usize..20) {
        let (state, mut writer) = State::new(KEY);
        let mut model = Model::default();
        let mut sequence = 0;
        let mut batch = Vec::new();
        for step in &steps {
            match step {
                Do::Deploy(key, payload) => {
                    if model.entities.get(key) != Some(payload) {
                        model.rejected.retain(|rejected| rejected != key);
                    }
                    model.entities.insert(key.clone(), payload.clone());
                    batch.push((key.clone(), Some(payload.clone())));
                }
                Do::Undeploy(which) if !model.entities.is_empty() => {
                    let key = which.get(&model.entities.keys().collect::<Vec<_>>()).to_owned().clone();
                    model.rejected.retain(|rejected| *rejected != key);
                    model.entities.remove(&key);
                    batch.push((key, None));
                }
                Do::Reject(which) if !model.entities.is_empty() => {
                    apply(&mut writer, sequence, &std::mem::take(&mut batch));
                    let key = which.get(&model.entities.keys().collect::<Vec<_>>()).to_owned().clone();
                    prop_assert!(state.reject(key.as_ref(), "cannot"));
                    model.rejected.push(key);
                }
                _ => {}
            }
            if batch.len() >= per_batch {
                sequence += 1;
                apply(&mut writer, sequence, &std::mem::take(&mut batch));
            }
        }
        apply(&mut writer, sequence + 1, &batch);
        compare(&state.view(), &model)?;

        // Another order of the same entities, and nothing left at the end.
        let (again, mut other) = State::new(KEY);
        let backwards: Vec<_> =
            model.entities.iter().rev().map(|(key, p)| (key.clone(), Some(p.clone()))).collect();
        for (at, chunk) in backwards.chunks(per_batch).enumerate() {
            apply(&mut other, at as u64, chunk);
        }
        model.rejected.clear();
        compare(&again.view(), &model)?;
        let gone: Vec<_> = model.entities.keys().map(|key| (key.clone(), None)).collect();
        apply(&mut other, 1_000, &gone);
        compare(&again.view(), &Model::default())?;
        prop_assert!(is_bare(&again.view()));

        // All of them at once, in some order, and nothing left of that either.
        let mut loaded = at_once(&model.entities, per_batch)?;
        compare(&loaded.view(), &model)?;
        let (again, mut writer) = State::new(KEY);
        let replaced: Vec<_> = backwards.iter().step_by(2).cloned().collect();
        apply(&mut writer, 1, &replaced);
        writer.replace(at_once(&model.entities, 1)?);
        prop_assert_eq!(again.position(), at_sequence(7));
        compare(&again.view(), &model)?;
        for (writer, view) in [(&mut loaded, None), (&mut writer, Some(again))] {
            apply(writer, 1_000, &gone);
            let view = view.map_or_else(|| writer.view(), |state| state.view());
            compare(&view, &Model::default())?;
            prop_assert!(is_bare(&view));
        }
    }

    #[test]
    fn a_state_made_at_once_changes_as_any_other(
        entities in prop::collection::btree_map(any_key(), any::<prop::sample::Index>(), 0..60),
        payloads in prop::collection::vec(prop_oneof![subscription(), api_key(), other()], 60),
        steps in steps(),
        per_part in 1_usize..20,
    ) {
        // Payloads of the right kind, under keys of all sorts.
        let payload = |key: &EntityKeyBuf, which: prop::sample::Index| {
            let same = |(of, _): &&(EntityKeyBuf, Vec<u8>)| of.as_ref().kind == key.as_ref().kind;
            let fitting: Vec<_> = payloads.iter().filter(same).collect();
            if fitting.is_empty() { b"{}".to_vec() } else { which.get(&fitting).1.clone() }
        };
        let entities = entities.into_iter();
        let entities = entities.map(|(key, which)| (key.clone(), payload(&key, which))).collect();
        let mut model = Model { entities, rejected: Vec::new() };
        let mut writer = at_once(&model.entities, per_part)?;
        compare(&writer.view(), &model)?;
        for step in steps {
            let (key, payload) = match step {
                Do::Deploy(key, payload) => (key, Some(payload)),
                Do::Undeploy(which) | Do::Reject(which) if !model.entities.is_empty() => {
                    let keys: Vec<_> = model.entities.keys().collect();
                    ((*which.get(&keys)).clone(), None)
                }
                _ => continue,
            };
            apply(&mut writer, 8, &[(key.clone(), payload.clone())]);
            match payload {
                Some(payload) => drop(model.entities.insert(key, payload)),
                None => drop(model.entities.remove(&key)),
            }
        }
        compare(&writer.view(), &model)?;
    }
}

fn any_key() -> impl Strategy<Value = EntityKeyBuf> {
    prop_oneof![subscription(), api_key(), other()].prop_map(|(key, _)| key)
}

/// Makes a state at sequence seven at once, from parts that were read on several threads.
fn at_once(
    entities: &std::collections::BTreeMap<EntityKeyBuf, Vec<u8>>,
    per_part: usize,
) -> Result<Writer, TestCaseError> {
    let mut bulk = Bulk::new(KEY);
    let all: Vec<_> = entities.iter().map(|(key, p)| (key.as_ref(), &**p)).collect();
    let parts: Vec<_> = std::thread::scope(|scope| {
        let read = |part: &[(EntityKey<'_>, &[u8])]| bulk.reader().read(part.iter().copied());
        let running: Vec<_> =
            all.chunks(per_part).rev().map(|part| scope.spawn(move || read(part))).collect();
        running.into_iter().map(|part| part.join().unwrap()).collect()
    });
    parts.into_iter().for_each(|part| bulk.add(part));
    bulk.finish(at_sequence(7)).map_err(|twice| TestCaseError::fail(twice.to_string()))
}

#[test]
fn what_comes_twice_is_refused() {
    let subscription = |id: &str| accepted("a", id);
    let key = |id: &str, text: &str| {
        let payload = format!(r#"{{"id":"{id}","key":"{text}"}}"#).into_bytes();
        (EntityKeyBuf::from(EntityKey::api_key("a", id, "s")), Some(payload))
    };
    let bad = |id: &str| (subscription(id).0, Some(b"?".to_vec()));
    let other = |id: &str| (EntityKey::new(Kind::ORGANIZATION, id).into(), Some(b"{}".to_vec()));
    let refused = |all: &[(EntityKeyBuf, Option<Vec<u8>>)]| {
        let mut bulk = Bulk::new(KEY);
        for (key, payload) in all {
            let part = [(key.as_ref(), payload.as_deref().unwrap())];
            bulk.add(bulk.reader().read(part));
        }
        bulk.finish(at_sequence(1)).err()
    };
    for all in [
        vec![subscription("s"), subscription("t"), subscription("s")],
        vec![subscription("s"), bad("s")],
        vec![bad("s"), bad("s")],
        vec![key("k", "x"), key("k", "y")],
        vec![key("k", "x"), key("l", "y"), key("m", "y"), key("l", "z")],
        vec![other("o"), other("o")],
    ] {
        let twice = refused(&all).expect("one of them came twice");
        assert_eq!(all.iter().filter(|(key, _)| *key == twice.0).count(), 2, "{twice}");
        assert!(!twice.to_string().contains('"'));
    }
    let elsewhere = (EntityKey::subscription("b", "s").into(), subscription("s").1);
    assert_eq!(refused(&[subscription("s"), elsewhere, key("k", "x"), key("l", "x")]), None);
}

#[test]
fn many_at_once_answer_as_one_by_one() {
    let count = if cfg!(miri) { 100 } else { 15_000 };
    let texts: Vec<_> = (0..count).map(|n| (format!("api{}", n % 7), format!("id-{n}"))).collect();
    let all: std::collections::BTreeMap<_, _> = texts
        .iter()
        .flat_map(|(api, id)| {
            let (subscription, payload) = accepted(api, id);
            let key = EntityKey::api_key(api, id, id).into();
            let of_key = format!(r#"{{"id":"{id}","key":"key of {id}"}}"#).into_bytes();
            [(subscription, payload.unwrap()), (key, of_key)]
        })
        .collect();
    let writer = at_once(&all, count / 10).unwrap();
    let (one_by_one, mut other) = State::new(KEY);
    let changes: Vec<_> = all.iter().map(|(key, p)| (key.clone(), Some(p.clone()))).collect();
    apply(&mut other, 7, &changes);
    let (view, known) = (writer.view(), one_by_one.view());
    assert!(view.sorted().eq(known.sorted()));
    assert_eq!(view.digest(), known.digest());
    for (api, id) in &texts {
        let now = WallTime::default();
        let found = |view: &View| {
            let key = format!("key of {id}");
            let found = [
                view.by_key(api, &key, Some("p"), now),
                view.by_md5(api, &md5_hex(&key), None, now),
                view.subscription(id),
            ];
            assert!(view.by_key("api", &key, None, now).is_none());
            found.map(|found| found.unwrap().id().to_owned())
        };
        assert_eq!(found(&view), [id.clone(), id.clone(), id.clone()]);
        assert_eq!(found(&view), found(&known));
    }
}

#[test]
fn a_state_that_takes_anothers_place_tells_the_difference() {
    let (state, mut writer) = State::with_feed(KEY, 6);
    apply(&mut writer, 1, &[accepted("a", "s1"), accepted("a", "s2"), accepted("a", "s3")]);
    let mut feed = state.changes(None);
    let all = |ids: &[&str]| {
        ids.iter().map(|id| accepted("a", id)).map(|(key, p)| (key, p.unwrap())).collect()
    };
    writer.replace(at_once(&all(&["s2", "s3", "s4"]), 2).unwrap());
    let step = feed.next(Duration::ZERO).unwrap().unwrap();
    assert_eq!(step.position, at_sequence(7));
    let changed: Vec<_> =
        step.changes.iter().map(|(key, p)| (key.as_ref().id, p.is_some())).collect();
    assert_eq!(changed, [("s1", false), ("s4", true)]);
    // More than a feed remembers.
    let ids: Vec<_> = (0..20).map(|n| format!("t{n}")).collect();
    writer.replace(at_once(&all(&ids.iter().map(|id| &**id).collect::<Vec<_>>()), 2).unwrap());
    assert_eq!(feed.next(Duration::ZERO).unwrap_err(), FeedError::Behind);
    assert_eq!(state.changes(None).next(Duration::ZERO).unwrap().map(|_| ()), None);
    apply(&mut writer, 8, &[accepted("a", "s1")]);
    let mut feed = state.changes(Some(at_sequence(7)));
    assert_eq!(feed.next(Duration::ZERO).unwrap().unwrap().position, at_sequence(8));
}

#[test]
fn what_the_host_rejected_stays_so_where_it_is_the_same() {
    let (state, mut writer) = State::new(KEY);
    apply(&mut writer, 1, &[accepted("a", "s1"), accepted("a", "s2")]);
    for id in ["s1", "s2"] {
        assert!(state.reject(EntityKey::subscription("a", id), "cannot"));
    }
    let mut all: std::collections::BTreeMap<EntityKeyBuf, Vec<u8>> =
        [accepted("a", "s1"), accepted("a", "s2")]
            .into_iter()
            .map(|(key, payload)| (key, payload.unwrap()))
            .collect();
    let other = br#"{"plan":"q","status":"ACCEPTED"}"#.to_vec();
    all.insert(EntityKey::subscription("a", "s2").into(), other);
    writer.replace(at_once(&all, 1).unwrap());
    let view = state.view();
    assert!(view.subscription("s1").is_none() && view.subscription("s2").is_some());
    assert_eq!((view.unusable().total, &*view.unusable().listed[0].1), (1, "cannot"));
}

/// Whether a state without entities keeps nothing else either.
fn is_bare(view: &View) -> bool {
    let root = &view.root;
    let indexes = [
        &root.by_id,
        &root.by_credential,
        &root.by_key_id,
        &root.by_shared,
        &root.by_md5,
        &root.by_other,
        &root.by_dictionary,
    ];
    indexes.iter().all(|index| index.is_empty())
        && root.access.is_empty()
        && !root.has_products
        && root.subscription_numbers(|record| record.payload.is_some()).next().is_none()
        && root.names.is_empty()
}

fn cases() -> u32 {
    if cfg!(miri) { 3 } else { 150 }
}

fn accepted(scope: &str, id: &str) -> (EntityKeyBuf, Option<Vec<u8>>) {
    let payload = format!(r#"{{"id":"{id}","plan":"p","status":"ACCEPTED","clientId":"c"}}"#);
    (EntityKey::subscription(scope, id).into(), Some(payload.into_bytes()))
}

#[test]
fn a_view_stays_at_its_position() {
    let (state, mut writer) = State::new(KEY);
    apply(&mut writer, 1, &[accepted("a", "s1")]);
    let view = state.view();
    apply(
        &mut writer,
        2,
        &[(EntityKey::subscription("a", "s1").into(), None), accepted("a", "s2")],
    );
    let client = |view: &View| {
        view.by_client("a", "c", None, WallTime::default()).map(|s| s.id().to_owned())
    };
    assert_eq!((view.position(), client(&view).as_deref()), (at_sequence(1), Some("s1")));
    assert_eq!(client(&state.view()).as_deref(), Some("s2"));
    writer.move_to(at_sequence(9));
    assert_eq!((state.position(), view.position()), (at_sequence(9), at_sequence(1)));
}

#[test]
fn a_reader_sees_all_of_a_batch_or_none() {
    let (state, mut writer) = State::new(KEY);
    apply(&mut writer, 0, &[accepted("a", "s0")]);
    let rounds = if cfg!(miri) { 20 } else { 2_000 };
    let reader = std::thread::spawn({
        let state = state.clone();
        move || {
            while state.position() < at_sequence(rounds) {
                let view = state.view();
                let ids: Vec<_> =
                    view.entities(Kind::SUBSCRIPTION).map(|(key, _)| key.id.to_owned()).collect();
                assert_eq!(ids, [format!("s{}", view.position().sequence.0)]);
                assert!(view.by_client("a", "c", None, WallTime::default()).is_some());
            }
        }
    });
    for round in 1..=rounds {
        let gone = EntityKey::subscription("a", &format!("s{}", round - 1)).into();
        apply(&mut writer, round, &[(gone, None), accepted("a", &format!("s{round}"))]);
    }
    reader.join().unwrap();
}

#[test]
fn feeds_hand_out_what_changed_and_say_when_they_fell_behind() {
    let (state, mut writer) = State::with_feed(KEY, 6);
    let mut feed = state.changes(None);
    assert!(feed.next(Duration::ZERO).unwrap().is_none());
    apply(&mut writer, 1, &[accepted("a", "s1")]);
    apply(&mut writer, 2, &[(EntityKey::subscription("a", "s1").into(), None)]);
    let step = feed.next(Duration::ZERO).unwrap().unwrap();
    assert_eq!((step.position, step.changes.len()), (at_sequence(1), 1));
    assert!(step.changes[0].1.is_some());
    let mut since = state.changes(Some(at_sequence(1)));
    for feed in [&mut feed, &mut since] {
        let step = feed.next(Duration::ZERO).unwrap().unwrap();
        assert_eq!(step.position, at_sequence(2));
        assert_eq!(step.changes, [(EntityKey::subscription("a", "s1").into(), None)]);
        assert!(feed.next(Duration::ZERO).unwrap().is_none());
    }
    let mut slow = state.changes(None);
    for sequence in 3..9 {
        apply(&mut writer, sequence, &[accepted("a", &format!("s{sequence}"))]);
    }
    assert_eq!(slow.next(Duration::ZERO).unwrap_err(), FeedError::Behind);
    assert_eq!(
        state.changes(Some(at_sequence(1))).next(Duration::ZERO).unwrap_err(),
        FeedError::Behind
    );
    assert!(state.changes(Some(at_sequence(5))).next(Duration::ZERO).unwrap().is_some());
    assert!(state.changes(Some(state.position())).next(Duration::ZERO).unwrap().is_none());
}

#[test]
fn a_waiting_feed_wakes_for_a_change_and_for_the_end() {
    let (state, mut writer) = State::new(KEY);
    let mut feed = state.changes(Some(Position::START));
    let waiting = std::thread::spawn(move || {
        let step = feed.next(Duration::from_secs(60)).unwrap().unwrap();
        (step.position, feed.next(Duration::from_secs(60)).unwrap_err())
    });
    apply(&mut writer, 1, &[accepted("a", "s1")]);
    drop(writer);
    assert_eq!(waiting.join().unwrap(), (at_sequence(1), FeedError::Stopped));
    assert!(state.view().subscription("s1").is_some());
}

#[test]
fn hooks_are_called_after_each_batch_and_may_look() {
    let (state, mut writer) = State::new(KEY);
    let (seen, looking) = (std::sync::Arc::new(std::sync::Mutex::new(Vec::new())), state.clone());
    let notes = seen.clone();
    state.on_change(Box::new(move || notes.lock().unwrap().push(looking.position())));
    apply(&mut writer, 1, &[accepted("a", "s1")]);
    writer.move_to(at_sequence(2));
    assert_eq!(*seen.lock().unwrap(), [at_sequence(1), at_sequence(2)]);
}

#[test]
fn a_change_that_changes_nothing_is_no_change() {
    let (state, mut writer) = State::new(KEY);
    apply(&mut writer, 1, &[accepted("a", "s1")]);
    let mut feed = state.changes(None);
    apply(&mut writer, 2, &[accepted("a", "s1"), (EntityKey::new(Kind::API, "x").into(), None)]);
    assert!(feed.next(Duration::ZERO).unwrap().unwrap().changes.is_empty());
}

#[test]
fn the_difference_leads_from_a_readers_list_to_the_view() {
    let (state, mut writer) = State::new(KEY);
    apply(&mut writer, 1, &[accepted("a", "s1"), accepted("a", "s2"), accepted("b", "s3")]);
    let view = state.view();
    let mut known: Vec<_> = view.sorted().map(|(key, p)| (key, KEY.version(key, p))).collect();
    let all = |known: &mut dyn Iterator<Item = _>| {
        let mut changes = Vec::new();
        view.difference(&KEY, known, &mut |key, payload| {
            changes.push((key.id.to_owned(), payload.is_some()));
        });
        changes
    };
    assert_eq!(all(&mut known.clone().into_iter()), []);
    known[1].1.0 += 1;
    known[2].0.id = "s4";
    let wanted = [("s2", true), ("s3", true), ("s4", false)];
    assert_eq!(all(&mut known.into_iter()), wanted.map(|(id, there)| (id.to_owned(), there)));
}

#[test]
fn names_of_unusable_entities_are_listed_up_to_a_bound() {
    let (state, mut writer) = State::new(KEY);
    let bad =
        |n: usize| (EntityKey::subscription("a", &format!("s{n:03}")).into(), Some(b"?".to_vec()));
    apply(&mut writer, 1, &(0..150).map(bad).collect::<Vec<_>>());
    let view = state.view();
    assert_eq!((view.unusable().total, view.unusable().listed.len()), (150, 100));
    let (key, reason) = &view.unusable().listed[0];
    assert_eq!((key.as_ref().id, &**reason), ("s000", "not JSON, at line 1 column 1"));
    assert_eq!(view.get(key.as_ref()), Some(&b"?"[..]));
    apply(&mut writer, 2, &[accepted("a", "s000")]);
    assert_eq!(state.view().unusable().total, 149);
    assert!(state.view().subscription("s000").is_some());
}
