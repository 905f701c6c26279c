//! Runs seeds.

use zonesync_core::bugs::Bug;
use zonesync_sim::plan;
use zonesync_sim::world::{clock, run};

fn main() {
    let mut args = std::env::args().skip(1);
    let first: u64 = args.next().and_then(|s| s.parse().ok()).unwrap_or(1);
    let count: u64 = args.next().and_then(|s| s.parse().ok()).unwrap_or(1);
    let bug = args.next().map(|name| Bug::from_name(&name).expect("a bug's name"));
    zonesync_core::bugs::plant(bug);
    let begun = std::time::Instant::now();
    let (mut passed, mut bad) = (0, 0);
    let mut rests = Vec::new();
    for seed in first..first + count {
        let ending = run(&plan::draw(seed));
        passed += ending.passed;
        rests.push((ending.agreed_after, ending.caught_up_after, seed));
        if let Some(broken) = ending.broken {
            bad += 1;
            if bug.is_some() && bad > 1 {
                break;
            }
            println!("seed {seed}: {} {}: {}", clock(broken.at), broken.promise, broken.what);
            if count == 1 {
                let ending = zonesync_sim::world::run_telling(
                    &plan::draw(seed),
                    std::env::var("FOCUS")
                        .ok()
                        .map(|n| zonesync_sim::rows::of_index(n.parse().unwrap()))
                        .or(broken.key),
                );
                for (at, line) in &ending.trace {
                    println!("  {} {line}", clock(*at));
                }
            }
        }
    }
    rests.sort();
    println!("slowest {:?}", &rests[rests.len().saturating_sub(5)..]);
    let cpu = begun.elapsed().as_secs_f64();
    println!("{count} seeds, {bad} broken, {} simulated hours per s", passed as f64 / 3.6e12 / cpu);
}
