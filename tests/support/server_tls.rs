//! Certificates for the loopback, made anew for each test.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

/// What a server shows, what it wants to see, and what its clients need.
pub struct ServerTls {
    config: Arc<ServerConfig>,
    ca_pem: String,
    client: Option<ClientPem>,
}

/// What a client shows.
#[derive(Debug, Clone)]
pub struct ClientPem {
    pub certificate: String,
    pub key: String,
}

impl ServerTls {
    /// A certificate for `127.0.0.1` and `localhost`, signed by a CA of its own.
    pub fn signed_by_ca() -> Self {
        Self::from_ca(&Ca::new(), false, &server_params())
    }

    /// The same, and clients must show a certificate that this CA signed.
    pub fn requiring_client_certificate() -> Self {
        Self::from_ca(&Ca::new(), true, &server_params())
    }

    /// The same as [`signed_by_ca`](Self::signed_by_ca), but it was valid for one day of 2020.
    pub fn expired() -> Self {
        let mut params = server_params();
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2020, 1, 2);
        Self::from_ca(&Ca::new(), false, &params)
    }

    /// A certificate for another host, `elsewhere.example`.
    pub fn for_another_host() -> Self {
        let params = CertificateParams::new(["elsewhere.example".to_owned()]).unwrap();
        Self::from_ca(&Ca::new(), false, &params)
    }

    /// The certificate that people make with one openssl command: its own issuer, and marked as a CA.
    pub fn self_signed_ca() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = server_params();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        let config = config(None, certificate.der().clone(), &key);
        Self { config, ca_pem: certificate.pem(), client: None }
    }

    fn from_ca(ca: &Ca, wants_client: bool, server: &CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = server.signed_by(&key, &ca.issuer).unwrap();
        let config = config(wants_client.then_some(&ca.certificate), certificate.der().clone(), &key);
        let client = wants_client.then(|| ca.client());
        Self { config, ca_pem: ca.pem.clone(), client }
    }

    pub(super) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// What makes a client trust the server.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// What makes the server trust a client; only with [`requiring_client_certificate`](Self::requiring_client_certificate).
    pub fn client(&self) -> Option<&ClientPem> {
        self.client.as_ref()
    }

    /// Fills a directory as an administrator would fill `certs.d/host:port`: `ca.crt`, `client.cert`, `client.key`.
    pub fn write_certs_d(&self, directory: &Path) {
        fs::create_dir_all(directory).unwrap();
        fs::write(directory.join("ca.crt"), &self.ca_pem).unwrap();
        if let Some(client) = &self.client {
            fs::write(directory.join("client.cert"), &client.certificate).unwrap();
            fs::write(directory.join("client.key"), &client.key).unwrap();
        }
    }
}

struct Ca {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    pem: String,
}

impl Ca {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "transship test CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let certificate = params.self_signed(&key).unwrap();
        Self { pem: certificate.pem(), certificate: certificate.der().clone(), issuer: Issuer::new(params, key) }
    }

    fn client(&self) -> ClientPem {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "transship test client");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        ClientPem { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}

fn server_params() -> CertificateParams {
    let mut params = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, "transship test server");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params
}

fn config(
    client_ca: Option<&CertificateDer<'static>>,
    certificate: CertificateDer<'static>,
    key: &KeyPair,
) -> Arc<ServerConfig> {
    let provider = Arc::new(ring::default_provider());
    let builder =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions().unwrap();
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some(ca) => {
            let mut roots = RootCertStore::empty();
            roots.add(ca.clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        }
    };
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    Arc::new(builder.with_single_cert(vec![certificate], key).unwrap())
}
