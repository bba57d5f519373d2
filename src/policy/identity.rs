//! Is a signature for this image, or for another one of the same signer?

use crate::config::policy_json::{IdentityPrefix, SignedIdentity};
use crate::reference::Reference;

/// True when a signature for the name `signed` is one for the image, as `signedIdentity` of a requirement says.
///
/// `image` is the *logical* reference; `None` for an image on this machine, which has no name in a registry and is
/// matched by the two identities alone that do not ask for one. A name that is no reference matches nothing.
///
/// ```
/// use transship::config::policy_json::SignedIdentity;
/// use transship::policy::identity;
///
/// let image = "quay.io/org/app:2".parse()?;
/// assert!(identity::matches(&SignedIdentity::MatchRepository, Some(&image), "quay.io/org/app:1"));
/// assert!(!identity::matches(&SignedIdentity::MatchRepoDigestOrExact, Some(&image), "quay.io/org/app:1"));
/// # Ok::<(), transship::reference::ParseError>(())
/// ```
pub fn matches(identity: &SignedIdentity, image: Option<&Reference>, signed: &str) -> bool {
    let Ok(signed) = signed.parse::<Reference>() else { return false };
    match (identity, image) {
        (SignedIdentity::ExactReference(expected), _) => is_precise(&signed) && signed == *expected,
        (SignedIdentity::ExactRepository(expected), _) => signed.name() == expected,
        (_, None) => false,
        (SignedIdentity::MatchExact, Some(image)) => is_precise(image) && signed == *image,
        (SignedIdentity::MatchRepository, Some(image)) => signed.name() == image.name(),
        (SignedIdentity::MatchRepoDigestOrExact, Some(image)) => repo_digest_or_exact(image, &signed),
        (SignedIdentity::RemapIdentity { prefix, signed_prefix }, Some(image)) => {
            remapped(image, prefix, signed_prefix).is_some_and(|image| repo_digest_or_exact(&image, &signed))
        }
    }
}

fn is_precise(reference: &Reference) -> bool {
    reference.tag().is_some() || reference.digest().is_some()
}

/// An image by digest alone is fixed by that digest, which is checked elsewhere; so its repository is enough.
fn repo_digest_or_exact(image: &Reference, signed: &Reference) -> bool {
    match (image.tag(), image.digest()) {
        (Some(_), _) => signed == image,
        (None, Some(_)) => is_precise(signed) && signed.name() == image.name(),
        (None, None) => false,
    }
}

/// The reference with `prefix` replaced, or as it is when the prefix is not its own. `None` when the result is no name.
fn remapped(image: &Reference, prefix: &IdentityPrefix, signed_prefix: &IdentityPrefix) -> Option<Reference> {
    let name = image.name().to_string();
    let rest = name.strip_prefix(prefix.as_str()).filter(|rest| rest.is_empty() || rest.starts_with('/'));
    let Some(rest) = rest else { return Some(image.clone()) };
    let tail = image.to_string().get(name.len()..).unwrap_or_default().to_owned();
    Reference::parse_canonical(&format!("{signed_prefix}{rest}{tail}")).ok()
}
