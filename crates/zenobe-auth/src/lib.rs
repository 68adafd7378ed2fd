//! Signature Version 4: who signed a request, and whether they really did.
//!
//! Pure functions over a request's head and body. The time is an argument, nothing is read from
//! disk or network, and whatever is not proven is refused. What a principal may do is not decided
//! here yet; how an error looks as JSON is decided in `zenobe-wire` and the binary.
//!
//! A request goes through two steps. [`Presented::parse`] reads what the request claims: its form is
//! checked always, also where nothing is verified. [`Verifier::verify`] then checks time, scope, key
//! and signature.
//!
//! Source: AWS IAM User Guide, "AWS Signature Version 4 for API requests". The order of the checks
//! and the texts are those that the service was seen to answer with.
//!
//! ```
//! use http::HeaderMap;
//! use zenobe_auth::{Credential, SignedRequest, SigningRequest, UnixSeconds, Verifier, sign};
//!
//! let credential = Credential::new("AKIDEXAMPLE", "secret");
//! let now = UnixSeconds(1_790_000_000);
//! let mut headers = HeaderMap::new();
//! headers.insert("host", "localhost:8000".parse()?);
//! let signing = SigningRequest { region: "us-east-1", service: "dynamodb", now };
//! sign(&signing, &credential, "POST", "/", &mut headers, b"{}")?;
//!
//! let verifier = Verifier::new("us-east-1", "dynamodb", vec![credential])?;
//! let request = SignedRequest {
//!     method: "POST",
//!     path: "/",
//!     query: None,
//!     headers: &headers,
//!     authority: None,
//!     body: b"{}",
//! };
//! assert_eq!(&*verifier.verify(&request, now)?.access_key_id, "AKIDEXAMPLE");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod canonical;
mod credential;
mod error;
mod parse;
mod sign;
mod time;
mod verify;

pub use credential::{Credential, CredentialError, SecretString};
pub use error::{AuthError, AuthErrorCode};
pub use parse::{Form, Presented, SignedRequest};
pub use sign::{SigningError, SigningRequest, sign};
pub use time::UnixSeconds;
pub use verify::{Principal, Verifier};
