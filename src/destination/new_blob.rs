//! Blobs that are made on the way.

use std::io::{self, Read, Seek as _, Write as _};

use oci_spec::image::MediaType;

use super::{Error, ImageDestination, NewBlob};
use crate::digest::MeasuringReader;
use crate::manifest::Descriptor;

const BUFFER_SIZE: usize = 256 * 1024;

/// Lets the blob wait in a file until it is known what it is.
pub(super) fn put_by_way_of_a_file<D: ImageDestination + ?Sized>(
    place: &D,
    reader: &mut dyn Read,
) -> Result<NewBlob, Error> {
    let mut file = tempfile::tempfile().map_err(Error::TemporaryFile)?;
    let mut measured = MeasuringReader::new(reader);
    pour(&mut measured, &mut |bytes| file.write_all(bytes).map_err(Error::TemporaryFile))?;
    let (digest, size) = measured.finish();
    file.rewind().map_err(Error::TemporaryFile)?;
    let blob = NewBlob { digest, size };
    let descriptor = blob.descriptor()?;
    if !place.has_blob(&descriptor)? {
        let mut content: Box<dyn Read> = Box::new(file);
        place.put_blob(&descriptor, &mut content)?;
    }
    Ok(blob)
}

/// Hands over all that a blob in the making has, and keeps the two sides' errors apart.
pub(super) fn pour(reader: &mut dyn Read, write: &mut dyn FnMut(&[u8]) -> Result<(), Error>) -> Result<(), Error> {
    let mut buffer = vec![0; BUFFER_SIZE];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => write(buffer.get(..count).unwrap_or_default())?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::ReadNew(error)),
        }
    }
}

impl NewBlob {
    /// A descriptor without a media type: a place needs none.
    pub(crate) fn descriptor(&self) -> Result<Descriptor, Error> {
        let digest = self.digest.as_str().parse::<oci_spec::image::Digest>();
        let digest = digest.map_err(|error| Error::Other(Box::new(error)))?;
        Ok(Descriptor::new(MediaType::Other(String::new()), self.size, digest))
    }
}
