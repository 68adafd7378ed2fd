//! What is wrong with one write or one read of an item.

use zenobe_model::ServiceError;

/// An error of one action. Alone, it is the error of the request. In a transaction most faults cancel
/// the transaction and are the reason given for their action; some refuse the request as a whole, as
/// if they had been found before any action was looked at.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// The reason for one action.
    Action(ServiceError),
    /// The error of the whole request: key values that are empty, paths into key attributes.
    Request(ServiceError),
}

impl From<ServiceError> for Fault {
    fn from(error: ServiceError) -> Self {
        Self::Action(error)
    }
}

impl From<Fault> for ServiceError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Action(error) | Fault::Request(error) => error,
        }
    }
}
