//! Certificates of Fulcio's and of an own PKI: the cases of containers/image made anew, and attacks.

use rcgen::{CertificateParams, CustomExtension, ExtendedKeyUsagePurpose};
use serde_json::Value;
use transship::signature::sigstore::{
    CHAIN_ANNOTATION, CaCertificates, ErrorKind, Fulcio, Pki, SIGNATURE_ANNOTATION, SigstoreError, Trust, Verified,
};

use crate::support::sigstore::{
    Authority, EMAIL, HOSTNAME, ISSUER, Log, SIGNED_AT, at, dns, fulcio_params, issuer_v1, issuer_v2, payload,
    pki_params, rfc822,
};
use crate::support::tables::{table, text};
use crate::{assert_refused, reason, verify, verify_now};

const TIME: i64 = 1_700_000_000;

/// The signature of somebody with such a certificate of Fulcio's, which the log saw at that time.
fn by_fulcio(params: &CertificateParams, time: i64) -> Result<Verified, SigstoreError> {
    by(&Authority::new(), params, time)
}

/// The same, of that Fulcio.
fn by(authority: &Authority, params: &CertificateParams, time: i64) -> Result<Verified, SigstoreError> {
    let log = Log::new();
    let certified = authority.certify(params);
    let mut signature = certified.legacy(&payload(b"manifest", "quay.io/org/app:1"), authority);
    log.log(&mut signature, &certified.pem, time);
    verify(&signature, &Trust::Fulcio(Fulcio::new(authority.root(), ISSUER, EMAIL, log.rekor())))
}

/// The signature of somebody with such a certificate of an own PKI.
fn by_pki(params: &CertificateParams, email: Option<&str>, hostname: Option<&str>) -> Result<Verified, SigstoreError> {
    let authority = Authority::new();
    let signature = authority.certify(params).legacy(&payload(b"manifest", "quay.io/org/app:1"), &authority);
    verify_now(&signature, &authority.pki(email, hostname))
}

/// `otherName` where an address belongs, critical.
fn other_name() -> CustomExtension {
    let content = [&[0x30, 11, 0xa0, 9], &b"otherName"[..]].concat();
    let mut extension = CustomExtension::from_oid_content(&[2, 5, 29, 17], content);
    extension.set_criticality(true);
    extension
}

fn unknown_critical() -> CustomExtension {
    let mut extension = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99999, 1], b"whatever".to_vec());
    extension.set_criticality(true);
    extension
}

fn emails(params: &mut CertificateParams, emails: &[&str]) {
    params.subject_alt_names.retain(|name| !matches!(name, rcgen::SanType::Rfc822Name(_)));
    params.subject_alt_names.extend(emails.iter().map(|email| rfc822(email)));
}

fn hostnames(params: &mut CertificateParams, hostnames: &[&str]) {
    params.subject_alt_names.retain(|name| !matches!(name, rcgen::SanType::DnsName(_)));
    params.subject_alt_names.extend(hostnames.iter().map(|name| dns(name)));
}

/// What the function of a case does to a certificate that would be accepted.
fn change(params: &mut CertificateParams, name: &str) {
    let base = params.custom_extensions.clone();
    match name {
        "OtherName in SAN" => {
            params.subject_alt_names.clear();
            params.custom_extensions.push(other_name());
        }
        "Unhandled critical extension" => params.custom_extensions.push(unknown_critical()),
        "Duplicate issuer extension" => {
            params.custom_extensions = [vec![issuer_v1("this does not match")], base].concat();
        }
        "Issuer mismatch" => params.custom_extensions = vec![issuer_v1("this does not match")],
        "Missing subject email" => emails(params, &[]),
        "Email mismatch" => emails(params, &["a@example.com"]),
        "Multiple emails, one matches" => emails(params, &["a@example.com", EMAIL, "c@example.com"]),
        "Multiple emails, no matches" => emails(params, &["a@example.com", "b@example.com", "c@example.com"]),
        "Missing subject hostname" => hostnames(params, &[]),
        "Hostname mismatch" => hostnames(params, &["this-does-not-match.example.com"]),
        "Multiple hostnames, one matches" => hostnames(params, &["a.example.com", HOSTNAME, "c.example.com"]),
        "Multiple hostnames, no matches" => {
            hostnames(params, &["a.example.com", "b.example.com", "c.example.com"]);
        }
        other => panic!("the case {other} is new"),
    }
}

/// The words of containers/image, and ours.
fn assert_outcome(case: &Value, outcome: Result<Verified, SigstoreError>) {
    let expected = match text(&case["errorFragment"]).as_str() {
        "" => None,
        "duplicate" => Some("duplicate extension"),
        "Unexpected Fulcio OIDC issuer" => Some("the OIDC issuer is"),
        "Unexpected subject hostname" => Some("the required hostname"),
        "Fulcio certificate is missing the issuer extension" => Some("is missing the issuer extension"),
        "invalid ASN.1 in OIDC issuer v2 extension, trailing data" => Some("1.3.6.1.4.1.57264.1.8 cannot be read"),
        "inconsistent OIDC issuer extension values" => Some("inconsistent OIDC issuer extension values"),
        // An address that is no address cannot be read, whoever looks first.
        _ if case["name"] == "OtherName in SAN" => Some("2.5.29.17 cannot be read"),
        "unhandled critical extension" => Some("unhandled critical extension"),
        email if email.starts_with("Required email") => Some("the required email"),
        other => panic!("the words {other:?} are new"),
    };
    match (expected, outcome) {
        (None, outcome) => drop(outcome.unwrap_or_else(|error| panic!("{case}: {}", reason(&error)))),
        (Some(words), Ok(_)) => panic!("{case} was accepted, expected {words:?}"),
        (Some(words), Err(error)) => assert!(reason(&error).contains(words), "{case}: {}", reason(&error)),
    }
}

#[test]
fn certificates_of_fulcio_are_judged_as_by_containers_image() {
    by_fulcio(&fulcio_params(), TIME).unwrap();
    for case in table("signature_payload", "fulcio_verify") {
        let mut params = fulcio_params();
        change(&mut params, &text(&case["name"]));
        assert_outcome(&case, by_fulcio(&params, TIME));
    }
}

#[test]
fn the_issuer_stands_in_one_of_two_extensions_or_the_same_in_both() {
    let other = "this does not match";
    for case in table("signature_payload", "fulcio_issuer") {
        let mut params = fulcio_params();
        params.custom_extensions = match text(&case["name"]).as_str() {
            "Missing issuer" => vec![],
            "Duplicate issuer v1 extension" => vec![issuer_v1(ISSUER), issuer_v1(other)],
            "Duplicate issuer v2 extension" => vec![issuer_v2(&[ISSUER]), issuer_v2(&[other])],
            "Completely invalid issuer v2 extension - trailing data" => vec![issuer_v2(&["https://", "example.com"])],
            "Inconsistent issuer v1 and v2" => vec![issuer_v1(ISSUER), issuer_v2(&[other])],
            "Fulcio interoperability" => vec![issuer_v1(ISSUER), issuer_v2(&[ISSUER])],
            other => panic!("the case {other} is new"),
        };
        assert_outcome(&case, by_fulcio(&params, TIME));
    }
    let mut params = fulcio_params();
    params.custom_extensions = vec![issuer_v2(&[ISSUER])];
    by_fulcio(&params, TIME).unwrap();
}

#[test]
fn certificates_of_a_pki_are_judged_as_by_containers_image() {
    by_pki(&pki_params(), Some(EMAIL), Some(HOSTNAME)).unwrap();
    for case in table("signature_payload", "pki_verify") {
        let mut params = pki_params();
        change(&mut params, &text(&case["name"]));
        assert_outcome(&case, by_pki(&params, Some(EMAIL), Some(HOSTNAME)));
    }
}

#[test]
fn a_hostname_matches_as_for_a_server() {
    let mut params = pki_params();
    hostnames(&mut params, &["*.example.com"]);
    by_pki(&params, None, Some(HOSTNAME)).unwrap();
    for other in ["a.b.example.com", "example.com", "192.0.2.1"] {
        let outcome = by_pki(&params, None, Some(other));
        assert_refused(outcome, ErrorKind::NotTrusted, "is not in the certificate (got [\"*.example.com\"])");
    }
}

#[test]
fn the_time_of_the_log_must_be_within_the_life_of_the_certificate() {
    let (from, to) = (TIME - 300, TIME + 300);
    for time in [from, to] {
        by_fulcio(&fulcio_params(), time).unwrap();
    }
    for time in [0, from - 1, to + 1, TIME + 3600, i64::MAX] {
        let outcome = by_fulcio(&fulcio_params(), time);
        assert_refused(
            outcome,
            ErrorKind::NotTrusted,
            "the time that the transparency log gives: it is from 2023-11-14T",
        );
    }
}

#[test]
fn the_certificate_of_an_authority_has_a_life_too() {
    for (from, to) in [(SIGNED_AT + 1, SIGNED_AT + 9), (SIGNED_AT - 9, SIGNED_AT - 1)] {
        let outcome = by(&Authority::valid(at(from), at(to)), &fulcio_params(), TIME);
        let words = "no certificate of the trusted authorities is valid at 2023-11-14T22:13:20Z";
        assert_refused(outcome, ErrorKind::NotTrusted, words);
    }
}

#[test]
fn an_intermediate_is_one_that_may_issue_certificates_there() {
    let outcome = by(&Authority::not_for_certificates(), &fulcio_params(), TIME);
    assert_refused(outcome, ErrorKind::NotTrusted, "not issued by a trusted authority");
    let outcome = by(&Authority::without_place_for_an_intermediate(), &fulcio_params(), TIME);
    assert_refused(outcome, ErrorKind::NotTrusted, "not issued by a trusted authority");
}

#[test]
fn a_certificate_for_something_else_signs_nothing() {
    let mut params = fulcio_params();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let words = "not for code signing";
    assert_refused(by_fulcio(&params, TIME), ErrorKind::NotTrusted, words);
    params.extended_key_usages.clear();
    assert_refused(by_fulcio(&params, TIME), ErrorKind::NotTrusted, words);

    let mut params = pki_params();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    assert_refused(by_pki(&params, Some(EMAIL), None), ErrorKind::NotTrusted, words);
    params.extended_key_usages.clear();
    by_pki(&params, Some(EMAIL), None).unwrap();
}

#[test]
fn another_authority_of_the_same_name_does_not_vouch() {
    let (authority, impostor, log) = (Authority::new(), Authority::new(), Log::new());
    let certified = impostor.certify(&fulcio_params());
    let mut signature = certified.legacy(&payload(b"manifest", "quay.io/org/app:1"), &impostor);
    log.log(&mut signature, &certified.pem, TIME);
    assert_refused(
        verify(&signature, &authority.fulcio(&log)),
        ErrorKind::NotTrusted,
        "not issued by a trusted authority",
    );
    let outcome = verify_now(
        &impostor.certify(&pki_params()).legacy(&signature.payload, &impostor),
        &authority.pki(Some(EMAIL), None),
    );
    assert_refused(outcome, ErrorKind::NotTrusted, "not issued by a trusted authority");
}

#[test]
fn a_leaf_does_not_issue_certificates() {
    let (authority, log) = (Authority::new(), Log::new());
    let rogue = authority.certify_as_issuer(&fulcio_params());
    let mut signature = rogue.0.legacy(&payload(b"manifest", "quay.io/org/app:1"), &authority);
    let chain = format!("{}\n{}", rogue.1, authority.chain());
    signature.annotations.insert(CHAIN_ANNOTATION.to_owned(), chain);
    log.log(&mut signature, &rogue.0.pem, TIME);
    assert_refused(
        verify(&signature, &authority.fulcio(&log)),
        ErrorKind::NotTrusted,
        "not issued by a trusted authority",
    );
}

#[test]
fn the_key_of_the_certificate_must_have_signed() {
    let (authority, log) = (Authority::new(), Log::new());
    let payload = payload(b"manifest", "quay.io/org/app:1");
    let (certified, other) = (authority.certify(&fulcio_params()), authority.certify(&fulcio_params()));
    let mut signature = certified.legacy(&payload, &authority);
    let signed = other.key.legacy(&payload).annotations[SIGNATURE_ANNOTATION].clone();
    signature.annotations.insert(SIGNATURE_ANNOTATION.to_owned(), signed);
    log.log(&mut signature, &certified.pem, TIME);
    let words = "not made with the key of its certificate";
    assert_refused(verify(&signature, &authority.fulcio(&log)), ErrorKind::Invalid, words);

    let mut signature = authority.certify(&pki_params()).legacy(&payload, &authority);
    signature.payload.push(b' ');
    assert_refused(verify_now(&signature, &authority.pki(Some(EMAIL), None)), ErrorKind::Invalid, words);
}

#[test]
fn fulcio_without_a_log_accepts_nothing() {
    let (authority, log) = (Authority::new(), Log::new());
    let certified = authority.certify(&fulcio_params());
    let mut signature = certified.legacy(&payload(b"manifest", "quay.io/org/app:1"), &authority);
    log.log(&mut signature, &certified.pem, TIME);
    let trust = Trust::Fulcio(Fulcio::new(authority.all(), ISSUER, EMAIL, vec![]));
    assert_refused(verify(&signature, &trust), ErrorKind::NotTrusted, "not signed with any of the accepted log keys");
}

#[test]
fn only_authorities_are_trusted_to_vouch() {
    let authority = Authority::new();
    let leaf = authority.certify(&fulcio_params());
    let error = CaCertificates::from_pem(leaf.pem.as_bytes()).unwrap_err();
    assert!(error.to_string().contains("is not one of a certificate authority"), "{error}");
    let error = CaCertificates::from_pem(b"").unwrap_err();
    assert_eq!(reason(&error), "invalid certificate: no PEM block, expected CERTIFICATE");
    let error = CaCertificates::from_pem(leaf.key.pem().as_bytes()).unwrap_err();
    assert_eq!(reason(&error), "invalid certificate: a PEM block \"PUBLIC KEY\", expected CERTIFICATE");
}

#[test]
fn a_pki_names_its_subject() {
    let authority = Authority::new();
    let pki = |email: Option<&str>, hostname: Option<&str>| {
        Pki::new(authority.root(), None, email.map(Into::into), hostname.map(Into::into)).map(drop)
    };
    assert!(pki(None, None).unwrap_err().to_string().contains("neither an email nor a hostname"));
    assert!(pki(None, Some("not a host")).unwrap_err().to_string().contains("invalid hostname \"not a host\""));
    pki(Some(EMAIL), None).unwrap();
}
