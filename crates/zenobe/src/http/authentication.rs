//! How requests prove who made them.

use std::collections::HashSet;

use hyper::http::request::Parts;
use zenobe_auth::{
    AuthError, Credential, CredentialError, Presented, Principal, SignedRequest, Verifier,
};

use crate::clock;

/// How requests prove who made them.
#[derive(Debug)]
pub(crate) enum Authentication {
    /// Any well-formed signature will do. For loopback only.
    Open,
    /// Signatures are verified.
    Verified {
        /// What verifies them.
        verifier: Verifier,
        /// The access keys that it knows.
        access_key_ids: HashSet<Box<str>>,
    },
}

impl Authentication {
    /// Lets in who has one of these keys, or everybody where there are none.
    pub(crate) fn new(region: &str, credentials: &[Credential]) -> Result<Self, CredentialError> {
        if credentials.is_empty() {
            return Ok(Self::Open);
        }
        Ok(Self::Verified {
            verifier: Verifier::new(region, "dynamodb", credentials.to_vec())?,
            access_key_ids: credentials.iter().map(|key| key.access_key_id.clone()).collect(),
        })
    }

    /// Who made a request.
    pub(crate) fn check(&self, parts: &Parts, body: &[u8]) -> Result<Principal, AuthError> {
        let request = signed(parts, body);
        match self {
            Self::Verified { verifier, .. } => verifier.verify(&request, clock::unix_seconds()),
            Self::Open => Presented::parse(&request)
                .map(|presented| Principal { access_key_id: presented.access_key_id.into() }),
        }
    }

    /// What is wrong with a request whatever its body is: it is not signed, or with a key that nobody has.
    pub(crate) fn check_head(&self, parts: &Parts) -> Result<(), AuthError> {
        let presented = Presented::parse(&signed(parts, b""))?;
        match self {
            // The signature is looked at last, and the body only for that: so this says what is wrong before.
            Self::Verified { access_key_ids, .. }
                if !access_key_ids.contains(&*presented.access_key_id) =>
            {
                self.check(parts, b"").map(|_| ())
            }
            Self::Verified { .. } | Self::Open => Ok(()),
        }
    }
}

fn signed<'a>(parts: &'a Parts, body: &'a [u8]) -> SignedRequest<'a> {
    SignedRequest {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: parts.uri.query(),
        headers: &parts.headers,
        authority: parts.uri.authority().map(|authority| authority.as_str()),
        body,
    }
}
