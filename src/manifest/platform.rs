//! What an image runs on, and what is wanted.

use std::fmt;
use std::str::FromStr;

/// Where an image runs: the names are Go's, as in every image
/// ([specification](https://github.com/opencontainers/image-spec/blob/main/image-index.md#image-index-property-descriptions)).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Platform {
    os: String,
    architecture: String,
    variant: Option<String>,
}

impl Platform {
    /// `linux`, `arm`, `v7`; an empty variant is none.
    pub fn new(os: impl Into<String>, architecture: impl Into<String>, variant: Option<String>) -> Self {
        let variant = variant.filter(|variant| !variant.is_empty());
        Self { os: os.into(), architecture: architecture.into(), variant }
    }

    /// What this program was built for. The variant of a 32-bit ARM is the one the compiler was told to use, not what
    /// the processor could do.
    pub fn host() -> Self {
        Self::new(go_os(std::env::consts::OS), go_architecture(std::env::consts::ARCH), host_variant())
    }

    /// The operating system, `linux`.
    pub fn os(&self) -> &str {
        &self.os
    }

    /// The processor architecture, `amd64`.
    pub fn architecture(&self) -> &str {
        &self.architecture
    }

    /// The variant of the architecture, `v7`.
    pub fn variant(&self) -> Option<&str> {
        self.variant.as_deref()
    }

    /// True when an image for `other` is one for this platform: a platform without a variant means all variants.
    ///
    /// ```
    /// use transship::manifest::Platform;
    ///
    /// let (arm, v7): (Platform, Platform) = ("linux/arm".parse()?, "linux/arm/v7".parse()?);
    /// assert!(arm.includes(&v7) && !v7.includes(&arm));
    /// # Ok::<(), transship::manifest::PlatformParseError>(())
    /// ```
    pub fn includes(&self, other: &Self) -> bool {
        let is_any = self.variant.is_none();
        (&self.os, &self.architecture) == (&other.os, &other.architecture) && (is_any || self.variant == other.variant)
    }
}

/// Text that is no platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a platform: OS/ARCH or OS/ARCH/VARIANT, such as linux/arm64 or linux/arm/v7")]
pub struct PlatformParseError(String);

impl FromStr for Platform {
    type Err = PlatformParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_graphic());
        match *text.split('/').collect::<Vec<_>>() {
            [os, architecture] if is_word(os) && is_word(architecture) => Ok(Self::new(os, architecture, None)),
            [os, architecture, variant] if [os, architecture, variant].into_iter().all(is_word) => {
                Ok(Self::new(os, architecture, Some(variant.to_owned())))
            }
            _ => Err(PlatformParseError(text.to_owned())),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

/// What the user chose of a platform; the rest is the host's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlatformChoice {
    /// The operating system, `linux`.
    pub os: Option<String>,
    /// The processor architecture, `amd64`.
    pub architecture: Option<String>,
    /// The variant of the architecture, `v7`.
    pub variant: Option<String>,
}

impl PlatformChoice {
    /// The platforms that would do, best first.
    ///
    /// With a variant, that one and those it is compatible with, then none; without, none first and then all variants
    /// of the architecture. The host's variant counts only where no architecture was chosen: nobody knows what a
    /// chosen one is for.
    ///
    /// ```
    /// use transship::manifest::{Platform, PlatformChoice};
    ///
    /// let raspberry = Platform::new("linux", "arm", Some("v6".to_owned()));
    /// let wanted = PlatformChoice::default().wanted(&raspberry);
    /// let wanted: Vec<_> = wanted.iter().map(ToString::to_string).collect();
    /// assert_eq!(wanted, ["linux/arm/v6", "linux/arm/v5", "linux/arm"]);
    /// ```
    pub fn wanted(&self, host: &Platform) -> Vec<Platform> {
        let chosen = |choice: &Option<String>| choice.clone().filter(|text| !text.is_empty());
        let os = chosen(&self.os).unwrap_or_else(|| host.os.clone());
        let (architecture, host_variant) = match chosen(&self.architecture) {
            Some(architecture) => (architecture, None),
            None => (host.architecture.clone(), host.variant.clone()),
        };
        let variant = chosen(&self.variant).or(host_variant);
        let variants = suitable_variants(&architecture, variant);
        variants.into_iter().map(|variant| Platform::new(os.clone(), architecture.clone(), variant)).collect()
    }
}

fn suitable_variants(architecture: &str, wanted: Option<String>) -> Vec<Option<String>> {
    let known = known_variants(architecture);
    let owned = |variant: &&str| Some((*variant).to_owned());
    let Some(wanted) = wanted else {
        return std::iter::once(None).chain(known.iter().map(owned)).collect();
    };
    let compatible: Vec<_> = known.iter().skip_while(|variant| **variant != wanted).map(owned).collect();
    let first = if compatible.is_empty() { vec![Some(wanted)] } else { compatible };
    first.into_iter().chain([None]).collect()
}

/// Highest first: each runs what those after it run.
fn known_variants(architecture: &str) -> &'static [&'static str] {
    match architecture {
        "arm" => &["v8", "v7", "v6", "v5"],
        "arm64" => &["v8"],
        _ => &[],
    }
}

fn go_os(os: &str) -> &str {
    match os {
        "macos" => "darwin",
        other => other,
    }
}

fn go_architecture(architecture: &str) -> &str {
    let is_little = cfg!(target_endian = "little");
    match architecture {
        "x86_64" => "amd64",
        "x86" => "386",
        "aarch64" => "arm64",
        "powerpc64" if is_little => "ppc64le",
        "powerpc64" => "ppc64",
        "powerpc" => "ppc",
        "mips" if is_little => "mipsle",
        "mips64" if is_little => "mips64le",
        "loongarch64" => "loong64",
        "wasm32" => "wasm",
        other => other,
    }
}

fn host_variant() -> Option<String> {
    let variant = if cfg!(any(target_arch = "aarch64", all(target_arch = "arm", target_feature = "v8"))) {
        "v8"
    } else if cfg!(all(target_arch = "arm", target_feature = "v7")) {
        "v7"
    } else if cfg!(all(target_arch = "arm", target_feature = "v6")) {
        "v6"
    } else if cfg!(target_arch = "arm") {
        "v5"
    } else {
        return None;
    };
    Some(variant.to_owned())
}
