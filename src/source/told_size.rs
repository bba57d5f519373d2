//! A blob whose size was told by one place, and has yet to be proven by the bytes.

use std::io::{self, Read};
use std::sync::Arc;

use super::places::{Place, Places};
use super::{BlobBody, Remedy, Served};
use crate::digest::{Digest, Mismatch};

/// Whoever told a size.
#[derive(Clone)]
pub(super) struct Teller {
    pub(super) places: Arc<Places>,
    pub(super) index: usize,
    pub(super) digest: Digest,
}

impl Teller {
    /// Takes the size back. True when there is somebody else to tell it.
    pub(super) fn refute(&self, mismatch: &Mismatch) -> bool {
        let place = self.places.all.get(self.index).filter(|place| place.is_trusted());
        place.is_some_and(|place| {
            place.distrust_size(&self.digest, mismatch);
            self.places.all.iter().any(Place::is_trusted)
        })
    }
}

/// A body that knows which places it is from: their references need not differ.
pub(super) trait PlacedBody: BlobBody {
    /// True unless somebody else than this place has delivered some of it.
    fn is_from_only(&self, place: usize) -> bool;
}

/// The bytes of such a blob: that they are too many or too few says nothing against whoever delivers them, unless they
/// told the size, too.
pub(super) struct ToldSizeBody {
    pub(super) body: Box<dyn PlacedBody>,
    pub(super) teller: Teller,
}

impl Read for ToldSizeBody {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.body.read(buffer)
    }
}

impl BlobBody for ToldSizeBody {
    fn served(&self) -> Vec<Served> {
        self.body.served()
    }

    fn reject(&mut self, mismatch: &Mismatch) -> Remedy {
        let is_of_size = matches!(mismatch, Mismatch::TooLong { .. } | Mismatch::TooShort { .. });
        let is_anothers = !self.body.is_from_only(self.teller.index);
        if is_of_size && is_anothers && self.teller.refute(mismatch) {
            return Remedy::AskAgain;
        }
        self.body.reject(mismatch)
    }
}
