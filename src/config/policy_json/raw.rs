//! Requirements as they are written, and the rules that serde does not know.

use std::str::FromStr;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

use super::identity::SignedIdentity;
use super::requirement::{
    CaCertificates, Fulcio, KeyType, Keys, Pki, Requirement, SignedBy, SigstoreSigned, SigstoreTrust,
};
use crate::strict_json::{Base64, NonEmpty, NonEmptyList, object, only, required, some};

/// All keys of all types. A tagged enum of serde would take a number for the type.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Raw {
    r#type: String,
    #[serde(default, deserialize_with = "some")]
    key_type: Option<String>,
    #[serde(default, deserialize_with = "some")]
    key_path: Option<NonEmpty>,
    #[serde(default, deserialize_with = "some")]
    key_paths: Option<NonEmptyList<NonEmpty>>,
    #[serde(default, deserialize_with = "some")]
    key_data: Option<Base64>,
    #[serde(default, deserialize_with = "some")]
    key_datas: Option<NonEmptyList<Base64>>,
    #[serde(default, deserialize_with = "some")]
    fulcio: Option<Fulcio>,
    #[serde(default, deserialize_with = "some")]
    pki: Option<Pki>,
    #[serde(default, deserialize_with = "some")]
    rekor_public_key_path: Option<NonEmpty>,
    #[serde(default, deserialize_with = "some")]
    rekor_public_key_paths: Option<NonEmptyList<NonEmpty>>,
    #[serde(default, deserialize_with = "some")]
    rekor_public_key_data: Option<Base64>,
    #[serde(default, deserialize_with = "some")]
    rekor_public_key_datas: Option<NonEmptyList<Base64>>,
    #[serde(default, deserialize_with = "some")]
    base_layer_identity: Option<SignedIdentity>,
    #[serde(default, deserialize_with = "some")]
    signed_identity: Option<SignedIdentity>,
}

const SIGNED_BY: [&str; 5] = ["keyType", "keyPath", "keyPaths", "keyData", "signedIdentity"];
const SIGSTORE_SIGNED: [&str; 11] = [
    "keyPath",
    "keyPaths",
    "keyData",
    "keyDatas",
    "fulcio",
    "pki",
    "rekorPublicKeyPath",
    "rekorPublicKeyPaths",
    "rekorPublicKeyData",
    "rekorPublicKeyDatas",
    "signedIdentity",
];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawFulcio {
    #[serde(default, deserialize_with = "some")]
    ca_path: Option<NonEmpty>,
    #[serde(default, deserialize_with = "some")]
    ca_data: Option<Base64>,
    oidc_issuer: NonEmpty,
    subject_email: NonEmpty,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawPki {
    #[serde(default, deserialize_with = "some")]
    ca_roots_path: Option<NonEmpty>,
    #[serde(default, deserialize_with = "some")]
    ca_roots_data: Option<Base64>,
    #[serde(default, deserialize_with = "some")]
    ca_intermediates_path: Option<NonEmpty>,
    #[serde(default, deserialize_with = "some")]
    ca_intermediates_data: Option<Base64>,
    #[serde(default, deserialize_with = "some")]
    subject_email: Option<NonEmpty>,
    #[serde(default, deserialize_with = "some")]
    subject_hostname: Option<NonEmpty>,
}

impl<'de> Deserialize<'de> for Requirement {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        object::<Raw, D>(deserializer)?.check().map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Fulcio {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw: RawFulcio = object(deserializer)?;
        let ca = [("caPath", raw.ca_path.map(Into::into)), ("caData", raw.ca_data.map(Into::into))];
        Ok(Self {
            ca: exactly_one(ca).map_err(D::Error::custom)?,
            oidc_issuer: raw.oidc_issuer.0,
            subject_email: raw.subject_email.0,
        })
    }
}

impl<'de> Deserialize<'de> for Pki {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        object::<RawPki, D>(deserializer)?.check().map_err(D::Error::custom)
    }
}

impl Raw {
    fn check(self) -> Result<Requirement, String> {
        let keys = self.keys();
        let only = |allowed: &[&str]| only(&self.r#type, &keys, allowed);
        match self.r#type.as_str() {
            "insecureAcceptAnything" => only(&[]).map(|()| Requirement::InsecureAcceptAnything),
            "reject" => only(&[]).map(|()| Requirement::Reject),
            "signedBy" => only(&SIGNED_BY).and_then(|()| self.signed_by()).map(Requirement::SignedBy),
            "signedBaseLayer" => {
                only(&["baseLayerIdentity"])?;
                let base_layer_identity = required("baseLayerIdentity", self.base_layer_identity)?;
                Ok(Requirement::SignedBaseLayer { base_layer_identity })
            }
            "sigstoreSigned" => {
                only(&SIGSTORE_SIGNED).and_then(|()| self.sigstore_signed()).map(Requirement::SigstoreSigned)
            }
            other => Err(format!(
                "unknown type {other:?} of a requirement, expected insecureAcceptAnything, reject, signedBy, sigstoreSigned \
                 or signedBaseLayer"
            )),
        }
    }

    /// The keys other than `type`, and whether they are given.
    fn keys(&self) -> [(&'static str, bool); 13] {
        [
            ("keyType", self.key_type.is_some()),
            ("keyPath", self.key_path.is_some()),
            ("keyPaths", self.key_paths.is_some()),
            ("keyData", self.key_data.is_some()),
            ("keyDatas", self.key_datas.is_some()),
            ("fulcio", self.fulcio.is_some()),
            ("pki", self.pki.is_some()),
            ("rekorPublicKeyPath", self.rekor_public_key_path.is_some()),
            ("rekorPublicKeyPaths", self.rekor_public_key_paths.is_some()),
            ("rekorPublicKeyData", self.rekor_public_key_data.is_some()),
            ("rekorPublicKeyDatas", self.rekor_public_key_datas.is_some()),
            ("baseLayerIdentity", self.base_layer_identity.is_some()),
            ("signedIdentity", self.signed_identity.is_some()),
        ]
    }

    fn signed_by(self) -> Result<SignedBy, String> {
        let key_type = required("keyType", self.key_type)?.parse()?;
        let keys = exactly_one([
            ("keyPath", self.key_path.map(Keys::from)),
            ("keyPaths", self.key_paths.map(Keys::from)),
            ("keyData", self.key_data.map(Keys::from)),
        ])?;
        Ok(SignedBy { key_type, keys, signed_identity: self.signed_identity.unwrap_or_default() })
    }

    fn sigstore_signed(self) -> Result<SigstoreSigned, String> {
        let keys = SigstoreTrust::Keys;
        let trust = exactly_one([
            ("keyPath", self.key_path.map(Into::into).map(keys)),
            ("keyPaths", self.key_paths.map(Into::into).map(keys)),
            ("keyData", self.key_data.map(Into::into).map(keys)),
            ("keyDatas", self.key_datas.map(Into::into).map(keys)),
            ("fulcio", self.fulcio.map(SigstoreTrust::Fulcio)),
            ("pki", self.pki.map(SigstoreTrust::Pki)),
        ])?;
        let rekor_public_keys = at_most_one([
            ("rekorPublicKeyPath", self.rekor_public_key_path.map(Keys::from)),
            ("rekorPublicKeyPaths", self.rekor_public_key_paths.map(Keys::from)),
            ("rekorPublicKeyData", self.rekor_public_key_data.map(Keys::from)),
            ("rekorPublicKeyDatas", self.rekor_public_key_datas.map(Keys::from)),
        ])?;
        match (&trust, &rekor_public_keys) {
            (SigstoreTrust::Fulcio(_), None) => Err("with fulcio, a rekorPublicKey… is required".to_owned()),
            (SigstoreTrust::Pki(_), Some(_)) => Err("with pki, no rekorPublicKey… is allowed".to_owned()),
            _ => {
                let signed_identity = self.signed_identity.unwrap_or_default();
                Ok(SigstoreSigned { trust, rekor_public_keys, signed_identity })
            }
        }
    }
}

impl FromStr for KeyType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "GPGKeys" => Ok(Self::GpgKeys),
            "signedByGPGKeys" => Ok(Self::SignedByGpgKeys),
            "X509Certificates" => Ok(Self::X509Certificates),
            "signedByX509CAs" => Ok(Self::SignedByX509Cas),
            _ => Err(format!("unknown keyType {text:?}, expected \"GPGKeys\"")),
        }
    }
}

impl RawPki {
    fn check(self) -> Result<Pki, String> {
        if self.subject_email.is_none() && self.subject_hostname.is_none() {
            return Err("at least one of subjectEmail, subjectHostname is required".to_owned());
        }
        let ca_roots = exactly_one([
            ("caRootsPath", self.ca_roots_path.map(Into::into)),
            ("caRootsData", self.ca_roots_data.map(Into::into)),
        ])?;
        let ca_intermediates = at_most_one([
            ("caIntermediatesPath", self.ca_intermediates_path.map(Into::into)),
            ("caIntermediatesData", self.ca_intermediates_data.map(Into::into)),
        ])?;
        let text = |text: NonEmpty| text.0;
        let (subject_email, subject_hostname) = (self.subject_email.map(text), self.subject_hostname.map(text));
        Ok(Pki { ca_roots, ca_intermediates, subject_email, subject_hostname })
    }
}

fn exactly_one<T, const N: usize>(keys: [(&str, Option<T>); N]) -> Result<T, String> {
    let names = keys.each_ref().map(|(name, _)| *name).join(", ");
    at_most_one(keys)?.ok_or_else(|| format!("one of {names} is required"))
}

fn at_most_one<T, const N: usize>(keys: [(&str, Option<T>); N]) -> Result<Option<T>, String> {
    let mut given = keys.into_iter().filter_map(|(name, value)| Some((name, value?)));
    match (given.next(), given.next()) {
        (Some((first, _)), Some((second, _))) => Err(format!("{first} and {second} exclude each other, keep one")),
        (first, _) => Ok(first.map(|(_, value)| value)),
    }
}

impl From<NonEmpty> for Keys {
    fn from(path: NonEmpty) -> Self {
        Self::Paths(vec![path.0.into()])
    }
}

impl From<NonEmptyList<NonEmpty>> for Keys {
    fn from(paths: NonEmptyList<NonEmpty>) -> Self {
        Self::Paths(paths.0.into_iter().map(|path| path.0.into()).collect())
    }
}

impl From<Base64> for Keys {
    fn from(data: Base64) -> Self {
        Self::Datas(vec![data.0])
    }
}

impl From<NonEmptyList<Base64>> for Keys {
    fn from(datas: NonEmptyList<Base64>) -> Self {
        Self::Datas(datas.0.into_iter().map(|data| data.0).collect())
    }
}

impl From<NonEmpty> for CaCertificates {
    fn from(path: NonEmpty) -> Self {
        Self::Path(path.0.into())
    }
}

impl From<Base64> for CaCertificates {
    fn from(data: Base64) -> Self {
        Self::Data(data.0)
    }
}
