//! Judges what our user may do, by asking the server what it would say.

use redis::{Cmd, cmd};

use super::{Finding, Patient, untold};
use crate::store::redis::connection::{Facts, text};

/// How many refusals are told one by one.
const TOLD_MAX: usize = 6;

/// What every node does. A word that begins with `%` is a key of the zone.
const FOLLOW: [&str; 16] = [
    "EVALSHA x 5 %lease %term %head %nodes %wake",
    "EVAL x 5 %lease %term %head %nodes %wake",
    "EVALSHA x 3 %term %head %log",
    "GET %term",
    "GET %snap:0:0:0:0",
    "HGET %head at",
    "HMGET %lease term",
    "PTTL %lease",
    "HGETALL %head",
    "HGETALL %nodes",
    "XRANGE %log - +",
    "EXISTS %log",
    "XREVRANGE %log + -",
    "XREVRANGE %wake + -",
    "XREAD STREAMS %wake 0-0",
    "TIME",
];

/// What only a candidate does, once it is elected or wants to be.
const LEAD: [&str; 22] = [
    "EVALSHA x 6 %term %head %log %nodes %snapshots %snap:0:0:0:0",
    "HSET %lease f v",
    "DEL %lease",
    "PEXPIRE %lease 1",
    "SET %term v",
    "PERSIST %term",
    "HSET %head f v",
    "HDEL %head f",
    "XADD %log * f v",
    "XTRIM %log MINID 0-0",
    "DEL %log",
    "HSET %snapshots f v",
    "HGET %snapshots f",
    "HGETALL %snapshots",
    "HEXISTS %snapshots f",
    "HDEL %snapshots f",
    "SET %snap:0:0:0:0 v",
    "EXISTS %snap:0:0:0:0",
    "UNLINK %snap:0:0:0:0",
    "HSET %nodes f v",
    "HDEL %nodes f",
    "XADD %wake MAXLEN 1 * f v",
];

/// Has the server say which commands it would refuse. Carries none of them out.
pub(super) async fn try_all(
    patient: &Patient<'_>,
    user: &str,
    facts: &Facts,
    prefix: &str,
    candidate: bool,
) -> Finding {
    let needs: Vec<&str> =
        FOLLOW.iter().chain(if candidate { &LEAD[..] } else { &[] }).copied().collect();
    let wait = patient.options.wait.filter(|_| candidate).map(|_| "WAIT 0 1");
    let needs: Vec<&str> = needs.into_iter().chain(wait).collect();
    if !facts.knows_script_flags() {
        let why = format!("{facts} cannot tell what a user may do; from Redis 7 on it can");
        return Finding::note("rights", why).advise(rule(user, prefix, &needs));
    }
    let mut refused = Vec::new();
    for need in &needs {
        match patient.call(&dry_run(user, prefix, need)).await.map(text) {
            Ok(Some(answer)) if answer == "OK" => {}
            Ok(_) => refused.push(*need),
            Err(error) => {
                return untold("rights", "what the user may do is not known: ", &error)
                    .advise(rule(user, prefix, &needs));
            }
        }
    }
    judge(user, prefix, &refused, candidate)
}

fn judge(user: &str, prefix: &str, refused: &[&str], candidate: bool) -> Finding {
    let does = if candidate { "candidate" } else { "follower" };
    if refused.is_empty() {
        return Finding::good("rights", format!("`{user}` may do all that a {does} does"));
    }
    let mut told: Vec<String> = refused.iter().take(TOLD_MAX).map(|need| short(need)).collect();
    let more = refused.len() - told.len();
    if more > 0 {
        told.push(format!("{more} more"));
    }
    let told = format!("`{user}` may not do what a {does} does: {}", told.join(", "));
    Finding::bad("rights", told).advise(rule(user, prefix, refused))
}

/// Gives the command that gives a user what it needs.
fn rule(user: &str, prefix: &str, needs: &[&str]) -> String {
    let mut names: Vec<_> = needs.iter().map(|need| name(need).to_lowercase()).collect();
    names.sort();
    names.dedup();
    format!("to allow it: ACL SETUSER {user} ~{prefix}* +{}", names.join(" +"))
}

fn dry_run(user: &str, prefix: &str, need: &str) -> Cmd {
    let mut command = cmd("ACL");
    command.arg("DRYRUN").arg(user);
    for word in need.split(' ') {
        match word.strip_prefix('%') {
            Some(key) => command.arg(format!("{prefix}{key}")),
            None => command.arg(word),
        };
    }
    command
}

fn name(need: &str) -> &str {
    need.split(' ').next().unwrap_or_default()
}

/// Names the command and the first key.
fn short(need: &str) -> String {
    match need.split(' ').find_map(|word| word.strip_prefix('%')) {
        Some(key) => format!("{} {}", name(need), key.split(':').next().unwrap_or(key)),
        None => name(need).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The commands that our scripts call, as their texts name them.
    fn called() -> Vec<String> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/store/redis/native/scripts");
        let mut names = Vec::new();
        for file in std::fs::read_dir(folder).unwrap() {
            let script = std::fs::read_to_string(file.unwrap().path()).unwrap();
            for call in script.split("redis.call(").skip(1) {
                names.push(call.split('\'').nth(1).unwrap().to_uppercase());
            }
        }
        names
    }

    #[test]
    fn every_command_that_a_script_calls_is_tried() {
        let called = called();
        assert!(called.len() > 40, "{called:?}");
        for command in called {
            let tried = FOLLOW.iter().chain(&LEAD).any(|need| name(need) == command);
            assert!(tried, "{command}");
        }
    }

    #[test]
    fn what_is_refused_is_told_with_a_rule_that_allows_it() {
        let refused = ["HSET %lease f v", "HSET %head f v", "SET %snap:0:0:0:0 v", "TIME"];
        let finding = judge("edge", "zonesync:{z}:", &refused, true);
        let told = "`edge` may not do what a candidate does: HSET lease, HSET head, SET snap, TIME";
        assert_eq!(finding.told, told);
        let advice = "to allow it: ACL SETUSER edge ~zonesync:{z}:* +hset +set +time";
        assert_eq!(finding.advice.as_deref(), Some(advice));
        let finding = judge("edge", "zonesync:{z}:", &LEAD, true);
        assert!(finding.told.ends_with(", 16 more"), "{}", finding.told);
        assert_eq!(
            judge("edge", "p", &[], false),
            Finding::good("rights", "`edge` may do all that a follower does")
        );
    }
}
