//! What the system says of this process.

use std::fs;

/// Gives the memory that it holds, in MB of a million bytes. Zero where the system does not tell.
pub fn resident_mb() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<f64>().ok());
    kib.unwrap_or_default() * 1024.0 / 1e6
}

/// Gives the CPU time that it took so far, in seconds. Zero where the system does not tell.
pub fn cpu_seconds() -> f64 {
    // In ticks, of which Linux counts a hundred a second for programs, whatever the kernel's own.
    const TICKS_PER_S: f64 = 100.0;
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = after_name.split_whitespace().skip(11).take(2);
    ticks.filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / TICKS_PER_S
}
