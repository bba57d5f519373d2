//! Whatever a HAR file says, reading it and answering from it ends, and does not panic.

#![no_main]

use std::io;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use transship::http::{Replay, Request, Tls, Wire};

fuzz_target!(|data: &[u8]| {
    let Ok(replay) = Replay::from_bytes(data) else { return };
    let Ok(url) = "http://r/".parse() else { return };
    let request = Request::get(url, Arc::new(Tls::default()));
    while let Ok(mut response) = replay.send(&request) {
        let _ = io::copy(&mut response.body, &mut io::sink());
    }
    let _ = replay.finish();
});
