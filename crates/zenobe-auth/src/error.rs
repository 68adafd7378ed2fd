//! Why a request is not let in, in the service's own words.

/// A request that is not let in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", .code.type_name())]
pub struct AuthError {
    /// The error code.
    pub code: AuthErrorCode,
    /// The exact text.
    pub message: String,
}

/// The error codes of authentication. All are sent with HTTP status 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuthErrorCode {
    /// The request is not signed.
    MissingAuthenticationToken,
    /// The signature's parts are missing or malformed.
    IncompleteSignature,
    /// The signature is complete, but wrong, out of scope or out of date.
    InvalidSignature,
    /// Nobody has the key, or the session token does not belong to it.
    UnrecognizedClient,
}

impl AuthErrorCode {
    /// The `__type` of the error body, namespace included.
    #[must_use]
    pub const fn type_name(self) -> &'static str {
        match self {
            Self::MissingAuthenticationToken => {
                "com.amazon.coral.service#MissingAuthenticationTokenException"
            }
            Self::IncompleteSignature => "com.amazon.coral.service#IncompleteSignatureException",
            Self::InvalidSignature => "com.amazon.coral.service#InvalidSignatureException",
            Self::UnrecognizedClient => "com.amazon.coral.service#UnrecognizedClientException",
        }
    }
}

impl AuthError {
    pub(crate) fn missing() -> Self {
        Self {
            code: AuthErrorCode::MissingAuthenticationToken,
            message: "Request is missing Authentication Token".into(),
        }
    }

    pub(crate) fn incomplete(message: String) -> Self {
        Self { code: AuthErrorCode::IncompleteSignature, message }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self { code: AuthErrorCode::InvalidSignature, message: message.into() }
    }

    pub(crate) fn unknown_key() -> Self {
        Self {
            code: AuthErrorCode::UnrecognizedClient,
            message: "The security token included in the request is invalid.".into(),
        }
    }

    /// Differs from [`Self::unknown_key`] by the full stop, as the service's text does.
    pub(crate) fn wrong_session_token() -> Self {
        Self {
            code: AuthErrorCode::UnrecognizedClient,
            message: "The security token included in the request is invalid".into(),
        }
    }

    pub(crate) fn mismatch() -> Self {
        Self::invalid(
            "The request signature we calculated does not match the signature you provided. Check \
             your AWS Secret Access Key and signing method. Consult the service documentation for \
             details.",
        )
    }
}
