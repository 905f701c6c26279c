#![no_main]

use zonesync_fuzz::{payloads, put_seeds};

libfuzzer_sys::fuzz_target!(init: put_seeds(payloads::seeds), |bytes: &[u8]| payloads::run(bytes));
