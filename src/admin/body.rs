//! The body of an admin request, read whole and small.

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};

use super::error::AdminError;
use crate::auth::BodyError;
use crate::http::body::BoxError;

/// As MinIO's cap on the bodies of its admin API.
const BODY_BYTES_MAX: usize = 256 * 1024;

/// The whole body; fails unless it is the one that was signed. One that is said to be too large is not begun.
pub async fn read<B>(body: B) -> Result<Bytes, AdminError>
where
    B: http_body::Body<Data = Bytes> + Send,
    B::Error: Into<BoxError>,
{
    if body.size_hint().lower() > BODY_BYTES_MAX as u64 {
        return Err(AdminError::BodyTooLarge);
    }
    match Limited::new(body, BODY_BYTES_MAX).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) => match error.downcast::<BodyError>() {
            Ok(error) => Err(AdminError::Body {
                code: error.code(),
                status: error.status(),
                message: error.to_string(),
            }),
            Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(AdminError::BodyTooLarge),
            Err(_gone) => Err(AdminError::BodyCutOff),
        },
    }
}
