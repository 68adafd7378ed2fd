//! Access keys and what is secret about them.

use std::fmt;

/// Text that is never shown: its `Debug` says only that it is there.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretString(Box<str>);

impl SecretString {
    /// Wraps a secret.
    #[must_use]
    pub fn new(secret: impl Into<Box<str>>) -> Self {
        Self(secret.into())
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretString(***)")
    }
}

/// An access key with its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// The public half, such as `AKIAIOSFODNN7EXAMPLE`.
    pub access_key_id: Box<str>,
    /// The secret half.
    pub secret_access_key: SecretString,
    /// Temporary credentials carry a token that each request must present.
    pub session_token: Option<SecretString>,
}

/// Why a credential cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// The access key id is empty.
    #[error("an access key id must not be empty")]
    EmptyAccessKeyId,
    /// A character that the scope of a signature cannot carry.
    #[error(
        "the access key id {0:?} may have only visible ASCII characters without '/', ',' and '='"
    )]
    InvalidAccessKeyId(String),
    /// The secret is empty.
    #[error("the secret access key of {0:?} must not be empty")]
    EmptySecret(String),
    /// The session token is empty, which no request can present.
    #[error("the session token of {0:?} must not be empty; leave it out for a key without one")]
    EmptySessionToken(String),
    /// Two credentials have the same access key id.
    #[error("the access key id {0:?} is given twice")]
    Duplicate(String),
}

impl Credential {
    /// A long-lived credential.
    #[must_use]
    pub fn new(access_key_id: impl Into<Box<str>>, secret: impl Into<Box<str>>) -> Self {
        Self {
            access_key_id: access_key_id.into(),
            secret_access_key: SecretString::new(secret),
            session_token: None,
        }
    }

    /// Checks that a signature can name this credential.
    ///
    /// # Errors
    /// [`CredentialError`], except for `Duplicate`.
    pub fn check(&self) -> Result<(), CredentialError> {
        if self.access_key_id.is_empty() {
            return Err(CredentialError::EmptyAccessKeyId);
        }
        let visible = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'/' | b',' | b'=');
        if !self.access_key_id.bytes().all(visible) {
            return Err(CredentialError::InvalidAccessKeyId(self.access_key_id.to_string()));
        }
        if self.secret_access_key.expose().is_empty() {
            return Err(CredentialError::EmptySecret(self.access_key_id.to_string()));
        }
        if self.session_token.as_ref().is_some_and(|token| token.expose().is_empty()) {
            return Err(CredentialError::EmptySessionToken(self.access_key_id.to_string()));
        }
        Ok(())
    }
}
