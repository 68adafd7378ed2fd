//! Verification: time, scope, key, signature and session token, in the service's order.
//!
//! The signing key of a credential depends on the day only, since region and service are fixed. It is
//! kept per credential, so that a request costs two digests and one HMAC.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use ring::hmac;

use crate::canonical::{canonical_request, string_to_sign};
use crate::credential::{Credential, CredentialError, SecretString};
use crate::error::AuthError;
use crate::parse::{Form, Presented, SignedRequest, hex_value};
use crate::time::UnixSeconds;

/// How far a client's clock may be off, either way.
const SKEW_SECONDS: u64 = 300;
const TERMINATOR: &str = "aws4_request";

/// Who made a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The access key that the request was signed with.
    pub access_key_id: Arc<str>,
}

/// Verifies requests against a fixed set of credentials.
#[derive(Debug)]
pub struct Verifier {
    region: Box<str>,
    service: Box<str>,
    keys: HashMap<Box<str>, Key>,
}

#[derive(Debug)]
struct Key {
    principal: Principal,
    secret: SecretString,
    session_token: Option<SecretString>,
    /// The signing key of the latest day asked for.
    latest: ArcSwapOption<DayKey>,
}

#[derive(Debug)]
struct DayKey {
    date: Box<str>,
    key: hmac::Key,
}

thread_local! {
    /// The canonical request and the string to sign, kept for their capacity.
    static SCRATCH: RefCell<(Vec<u8>, Vec<u8>)> = const { RefCell::new((Vec::new(), Vec::new())) };
}

impl Verifier {
    /// A verifier for signatures scoped to `region` and `service`.
    ///
    /// # Errors
    /// [`CredentialError`] for a credential that cannot be used.
    pub fn new(
        region: impl Into<Box<str>>,
        service: impl Into<Box<str>>,
        credentials: Vec<Credential>,
    ) -> Result<Self, CredentialError> {
        let mut keys = HashMap::with_capacity(credentials.len());
        for credential in credentials {
            credential.check()?;
            let key = Key {
                principal: Principal { access_key_id: Arc::from(&*credential.access_key_id) },
                secret: credential.secret_access_key,
                session_token: credential.session_token,
                latest: ArcSwapOption::empty(),
            };
            if keys.insert(credential.access_key_id.clone(), key).is_some() {
                return Err(CredentialError::Duplicate(credential.access_key_id.into()));
            }
        }
        Ok(Self { region: region.into(), service: service.into(), keys })
    }

    /// Verifies a request.
    ///
    /// # Errors
    /// What [`Presented::parse`] returns; `InvalidSignature` for a wrong time, scope or signature;
    /// `UnrecognizedClient` for an unknown key or a wrong session token.
    pub fn verify(
        &self,
        request: &SignedRequest<'_>,
        now: UnixSeconds,
    ) -> Result<Principal, AuthError> {
        let presented = Presented::parse(request)?;
        check_time(&presented, now)?;
        self.check_scope(&presented)?;
        let key = self.keys.get(&*presented.access_key_id).ok_or_else(AuthError::unknown_key)?;
        key.check_signature(request, &presented)?;
        key.check_session_token(presented.session_token.as_deref())?;
        Ok(key.principal.clone())
    }

    fn check_scope(&self, presented: &Presented<'_>) -> Result<(), AuthError> {
        let day = presented.timestamp_text.get(..8).unwrap_or_default();
        if presented.region == *self.region
            && presented.service == *self.service
            && presented.terminator == TERMINATOR
            && presented.scope_date == day
        {
            return Ok(());
        }
        let mut message = String::new();
        if presented.region != *self.region {
            message.push_str("Credential should be scoped to a valid region. ");
        }
        if presented.service != *self.service {
            message.push_str(&format!(
                "Credential should be scoped to correct service: '{}'. ",
                self.service
            ));
        }
        if presented.terminator != TERMINATOR {
            message.push_str(&format!(
                "Credential should be scoped with a valid terminator: '{TERMINATOR}', not '{}'. ",
                presented.terminator
            ));
        }
        if presented.scope_date != day {
            message.push_str(&format!(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date \
                 from HTTP: '{}' != '{day}', from '{}'. ",
                presented.scope_date, presented.timestamp_text
            ));
        }
        Err(AuthError::invalid(message))
    }
}

fn check_time(presented: &Presented<'_>, now: UnixSeconds) -> Result<(), AuthError> {
    let valid_seconds = match presented.form {
        Form::Header | Form::Query { expires_seconds: None } => SKEW_SECONDS,
        Form::Query { expires_seconds: Some(seconds) } => seconds,
    };
    let (then, now_seconds) = (presented.timestamp.0, now.0);
    if then.saturating_add(valid_seconds) < now_seconds {
        let age = if valid_seconds.is_multiple_of(60) {
            format!("{} min.", valid_seconds / 60)
        } else {
            format!("{valid_seconds} sec.")
        };
        return Err(AuthError::invalid(format!(
            "Signature expired: {} is now earlier than {} ({} - {age})",
            presented.timestamp_text,
            UnixSeconds(now_seconds.saturating_sub(valid_seconds)).to_basic(),
            now.to_basic(),
        )));
    }
    if then > now_seconds.saturating_add(SKEW_SECONDS) {
        return Err(AuthError::invalid(format!(
            "Signature not yet current: {} is still later than {} ({} + {} min.)",
            presented.timestamp_text,
            UnixSeconds(now_seconds.saturating_add(SKEW_SECONDS)).to_basic(),
            now.to_basic(),
            SKEW_SECONDS / 60,
        )));
    }
    Ok(())
}

impl Key {
    fn check_signature(
        &self,
        request: &SignedRequest<'_>,
        presented: &Presented<'_>,
    ) -> Result<(), AuthError> {
        let signature = signature_bytes(&presented.signature).ok_or_else(AuthError::mismatch)?;
        let scope: [&str; 4] =
            [&presented.scope_date, &presented.region, &presented.service, TERMINATOR];
        SCRATCH.with_borrow_mut(|(canonical, to_sign)| {
            canonical_request(request, &presented.signed_headers, canonical);
            string_to_sign(&presented.timestamp_text, scope, canonical, to_sign);
            let verified = self.with_day_key(scope, |key| {
                // Compares in constant time.
                hmac::verify(key, to_sign, &signature)
            });
            // A large body of headers must not stay allocated for the life of the thread.
            canonical.shrink_to(SCRATCH_BYTES_KEPT);
            verified.map_err(|_| AuthError::mismatch())
        })
    }

    /// Calls with the signing key of the scope's day. The key is kept when the day is later than
    /// the one kept: around midnight the few requests of the old day derive theirs anew.
    fn with_day_key<T>(&self, scope: [&str; 4], use_key: impl FnOnce(&hmac::Key) -> T) -> T {
        let [date, ..] = scope;
        let latest = self.latest.load();
        if let Some(day_key) = &*latest
            && *day_key.date == *date
        {
            return use_key(&day_key.key);
        }
        let key = signing_key(&self.secret, scope);
        let result = use_key(&key);
        if latest.as_ref().is_none_or(|latest| *latest.date < *date) {
            self.latest.store(Some(Arc::new(DayKey { date: date.into(), key })));
        }
        result
    }

    fn check_session_token(&self, presented: Option<&str>) -> Result<(), AuthError> {
        let matches = match (&self.session_token, presented) {
            (None, None) => true,
            (Some(expected), Some(presented)) => {
                constant_time_eq(expected.expose().as_bytes(), presented.as_bytes())
            }
            (None, Some(_)) | (Some(_), None) => false,
        };
        if matches { Ok(()) } else { Err(AuthError::wrong_session_token()) }
    }
}

const SCRATCH_BYTES_KEPT: usize = 8 << 10;

/// Compares by HMACs of both under the expected secret, so that the time taken tells nothing about
/// where the two differ.
fn constant_time_eq(expected: &[u8], presented: &[u8]) -> bool {
    let key = hmac::Key::new(hmac::HMAC_SHA256, expected);
    let tag = hmac::sign(&key, expected);
    hmac::verify(&key, presented, tag.as_ref()).is_ok()
}

/// The key of a day, a region and a service: four HMACs from the secret.
pub(crate) fn signing_key(secret: &SecretString, scope: [&str; 4]) -> hmac::Key {
    let start = [b"AWS4", secret.expose().as_bytes()].concat();
    scope.iter().fold(hmac::Key::new(hmac::HMAC_SHA256, &start), |key, part| {
        hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref())
    })
}

/// 64 lower-case hexadecimal digits as bytes.
fn signature_bytes(text: &str) -> Option<[u8; 32]> {
    let digits: &[u8; 64] = text.as_bytes().try_into().ok()?;
    let mut bytes = [0; 32];
    for (byte, [high, low]) in bytes.iter_mut().zip(digits.as_chunks::<2>().0) {
        if high.is_ascii_uppercase() || low.is_ascii_uppercase() {
            return None;
        }
        *byte = hex_value(*high)? << 4 | hex_value(*low)?;
    }
    Some(bytes)
}
