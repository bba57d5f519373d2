//! A wire that counts.

use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use transship::http::{Error, Request, Response, Wire};

/// Counts the bytes of bodies that were read through it.
pub(crate) struct CountingWire {
    inner: Arc<dyn Wire>,
    count: Arc<Count>,
}

/// What a [`CountingWire`] counted.
#[derive(Default)]
pub(crate) struct Count {
    all: AtomicU64,
    blobs: AtomicU64,
    /// Where requests went: `host:port` of each.
    authorities: Mutex<Vec<String>>,
}

impl Count {
    /// Bytes of all bodies.
    pub(crate) fn bytes(&self) -> u64 {
        self.all.load(Ordering::Relaxed)
    }

    /// Bytes of the answers to requests for blobs, read in vain or not.
    pub(crate) fn blob_bytes(&self) -> u64 {
        self.blobs.load(Ordering::Relaxed)
    }

    /// How many requests were sent to `host:port`, answered or not.
    pub(crate) fn sent_to(&self, authority: &str) -> usize {
        self.authorities.lock().unwrap().iter().filter(|sent| *sent == authority).count()
    }
}

impl CountingWire {
    pub(crate) fn new(inner: Arc<dyn Wire>, count: Arc<Count>) -> Self {
        Self { inner, count }
    }
}

impl Wire for CountingWire {
    fn send(&self, request: &Request) -> Result<Response, Error> {
        self.count.authorities.lock().unwrap().push(request.url.authority());
        let response = self.inner.send(request)?;
        let is_blob = request.url.expose().contains("/blobs/");
        let body = CountedBody { inner: response.body, count: Arc::clone(&self.count), is_blob };
        Ok(Response { body: Box::new(body), ..response })
    }
}

struct CountedBody<R> {
    inner: R,
    count: Arc<Count>,
    is_blob: bool,
}

impl<R: Read> Read for CountedBody<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.count.all.fetch_add(count as u64, Ordering::Relaxed);
        if self.is_blob {
            self.count.blobs.fetch_add(count as u64, Ordering::Relaxed);
        }
        Ok(count)
    }
}
