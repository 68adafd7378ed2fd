//! From an HTTP request to the service and back.
//!
//! [`handler`] has the order in which DynamoDB looks at a request; the other modules are its parts.
//! No connection and no socket is known here.

pub(crate) mod authentication;
pub(crate) mod body;
pub(crate) mod handler;
pub(crate) mod head;
pub(crate) mod request_id;
pub(crate) mod response;

#[cfg(test)]
mod tests;
