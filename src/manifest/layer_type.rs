//! What media types say of layers.

use crate::compression::Compression;

/// Whose word for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    Docker,
    Oci,
}

/// A layer that is a tar file. Whatever has another media type (a chart, a module, an encrypted layer) is none of these,
/// and stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LayerType {
    pub(crate) family: Family,
    pub(crate) compression: Option<Compression>,
    /// Its bytes may be elsewhere.
    pub(crate) is_foreign: bool,
}

struct Row {
    is_foreign: bool,
    compression: Option<Compression>,
    docker: Option<&'static str>,
    oci: &'static str,
}

const fn row(
    is_foreign: bool,
    compression: Option<Compression>,
    docker: Option<&'static str>,
    oci: &'static str,
) -> Row {
    Row { is_foreign, compression, docker, oci }
}

const GZIP: Option<Compression> = Some(Compression::Gzip);
const ZSTD: Option<Compression> = Some(Compression::Zstd);

#[rustfmt::skip]
const ROWS: [Row; 6] = [
    row(false, None, Some("application/vnd.docker.image.rootfs.diff.tar"), "application/vnd.oci.image.layer.v1.tar"),
    row(false, GZIP, Some("application/vnd.docker.image.rootfs.diff.tar.gzip"), "application/vnd.oci.image.layer.v1.tar+gzip"),
    // Not a type of Docker's, and met all the same.
    row(false, ZSTD, Some("application/vnd.docker.image.rootfs.diff.tar.zstd"), "application/vnd.oci.image.layer.v1.tar+zstd"),
    row(true, None, Some("application/vnd.docker.image.rootfs.foreign.diff.tar"), "application/vnd.oci.image.layer.nondistributable.v1.tar"),
    row(true, GZIP, Some("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"), "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"),
    row(true, ZSTD, None, "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd"),
];

impl LayerType {
    pub(crate) fn of(media_type: &str) -> Option<Self> {
        ROWS.iter().find_map(|row| {
            let family = match media_type {
                text if text == row.oci => Family::Oci,
                text if Some(text) == row.docker => Family::Docker,
                _ => return None,
            };
            Some(Self { family, compression: row.compression, is_foreign: row.is_foreign })
        })
    }

    /// Its media type; `None` where the family has none.
    pub(crate) fn media_type(self) -> Option<&'static str> {
        let is_this = |row: &&Row| row.compression == self.compression && row.is_foreign == self.is_foreign;
        let row = ROWS.iter().find(is_this)?;
        match self.family {
            Family::Docker => row.docker,
            Family::Oci => Some(row.oci),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_reads_back() {
        for row in &ROWS {
            for media_type in row.docker.into_iter().chain([row.oci]) {
                assert_eq!(LayerType::of(media_type).unwrap().media_type(), Some(media_type));
            }
        }
        for other in [
            "",
            "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
            "application/vnd.oci.image.layer.v1.tar+gzip+encrypted",
        ] {
            assert_eq!(LayerType::of(other), None);
        }
    }
}
