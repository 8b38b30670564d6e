//! What a front tells about a request beside identity, action and resource: facts that conditions of policies ask for.

/// The tags a request brings for an object, wherever it has them (`s3:RequestObjectTag/…`): in the request's extensions
/// before a decision is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestTags(pub Vec<(String, String)>);
