//! The erasure code of one geometry: data to shards, and any k shards back to the others.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use parking_lot::RwLock;
use reed_solomon_erasure::galois_8::ReedSolomon;

use super::Geometry;
use crate::embedded::buffers::{Buffer, Buffers};
use crate::embedded::frame::payload_crc;

/// One shard of a stripe, with the checksum its frame will carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedShard {
    pub payload: Bytes,
    pub crc: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    #[error("a geometry of {0} data and {1} parity shards has no code")]
    Geometry(u8, u8),
    #[error("a stripe holds 1 to {max} bytes, not {len}")]
    StripeLength { len: usize, max: usize },
    #[error("{have} shards cannot give a stripe that needs {need}")]
    TooFew { have: usize, need: usize },
    #[error("a shard of {found} bytes where {expected} were expected")]
    ShardLength { found: usize, expected: usize },
    #[error("erasure code: {0}")]
    Code(String),
}

/// Encodes and rebuilds stripes of one geometry. Cheap to clone.
#[derive(Clone)]
pub struct Codec {
    geometry: Geometry,
    /// `None` without parity.
    code: Option<Arc<ReedSolomon>>,
    /// Parity is computed into these.
    buffers: Buffers,
}

impl fmt::Debug for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Codec").field(&self.geometry).finish()
    }
}

impl Codec {
    /// Builds the code's matrix: some microseconds; see [`Codecs`].
    pub fn new(geometry: Geometry) -> Result<Self, CodecError> {
        let unknown = CodecError::Geometry(geometry.data, geometry.parity);
        if geometry.data == 0 || geometry.unit == 0 {
            return Err(unknown);
        }
        let code = match geometry.parity {
            0 => None,
            m => Some(Arc::new(
                ReedSolomon::new(usize::from(geometry.data), usize::from(m)).map_err(|_| unknown)?,
            )),
        };
        Ok(Self {
            geometry,
            code,
            buffers: Buffers::default(),
        })
    }

    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn check_length(&self, data_len: usize) -> Result<(), CodecError> {
        let max = self.geometry.stripe_bytes_max();
        if data_len == 0 || data_len > max {
            return Err(CodecError::StripeLength { len: data_len, max });
        }
        Ok(())
    }

    /// All k+m shards of a stripe with this data. Data shards share the memory of `data` where no padding is needed.
    pub fn encode_stripe(&self, data: &Bytes) -> Result<Vec<EncodedShard>, CodecError> {
        self.check_length(data.len())?;
        let shard_bytes = self.geometry.shard_bytes(data.len());
        let mut shards: Vec<Bytes> = (0..usize::from(self.geometry.data))
            .map(|i| {
                let start = (i * shard_bytes).min(data.len());
                let end = (start + shard_bytes).min(data.len());
                let shard = data.slice(start..end);
                if shard.len() == shard_bytes {
                    return shard;
                }
                let mut padded = BytesMut::zeroed(shard_bytes);
                for (to, from) in padded.iter_mut().zip(shard.iter()) {
                    *to = *from;
                }
                padded.freeze()
            })
            .collect();
        if let Some(code) = &self.code {
            let mut parity: Vec<Buffer> = (0..self.geometry.parity)
                .map(|_| self.buffers.take(shard_bytes))
                .collect();
            code.encode_sep(&shards, &mut parity)
                .map_err(|e| CodecError::Code(e.to_string()))?;
            shards.extend(parity.into_iter().map(Buffer::freeze));
        }
        let with_crc = |payload: Bytes| EncodedShard {
            crc: payload_crc(&payload),
            payload,
        };
        Ok(shards.into_iter().map(with_crc).collect())
    }

    /// All k+m shards, the missing ones rebuilt from any k.
    pub fn rebuild_shards(&self, data_len: usize, shards: Vec<Option<Bytes>>) -> Result<Vec<Bytes>, CodecError> {
        self.rebuild(data_len, shards, true)
    }

    /// The k data shards in order, the missing ones rebuilt from any k shards; padding included.
    pub fn rebuild_data(&self, data_len: usize, shards: Vec<Option<Bytes>>) -> Result<Vec<Bytes>, CodecError> {
        let mut data = self.rebuild(data_len, shards, false)?;
        data.truncate(usize::from(self.geometry.data));
        Ok(data)
    }

    /// The data of a stripe from any k of its shards.
    pub fn rebuild_stripe(&self, data_len: usize, shards: Vec<Option<Bytes>>) -> Result<Bytes, CodecError> {
        let mut data = BytesMut::with_capacity(data_len);
        for shard in self.rebuild_data(data_len, shards)? {
            let wanted = shard.len().min(data_len - data.len());
            data.extend_from_slice(shard.get(..wanted).unwrap_or(&shard));
        }
        Ok(data.freeze())
    }

    fn rebuild(
        &self,
        data_len: usize,
        mut shards: Vec<Option<Bytes>>,
        parity_too: bool,
    ) -> Result<Vec<Bytes>, CodecError> {
        self.check_length(data_len)?;
        let need = usize::from(self.geometry.data);
        shards.resize(self.geometry.shards(), None);
        let have = shards.iter().flatten().count();
        if have < need {
            return Err(CodecError::TooFew { have, need });
        }
        let expected = self.geometry.shard_bytes(data_len);
        if let Some(wrong) = shards.iter().flatten().find(|s| s.len() != expected) {
            return Err(CodecError::ShardLength {
                found: wrong.len(),
                expected,
            });
        }
        let wanted = if parity_too { shards.len() } else { need };
        if shards.iter().take(wanted).all(Option::is_some) {
            return Ok(shards.into_iter().flatten().collect());
        }
        let code = self.code.as_ref().ok_or(CodecError::TooFew { have, need })?;
        // The code wants to own what it reads; memory that nobody shares is taken over without a copy.
        let mut owned: Vec<Option<BytesMut>> = shards
            .into_iter()
            .map(|s| {
                s.map(|s| {
                    s.try_into_mut()
                        .unwrap_or_else(|shared| BytesMut::from(shared.as_ref()))
                })
            })
            .collect();
        let outcome = match parity_too {
            true => code.reconstruct(&mut owned),
            false => code.reconstruct_data(&mut owned),
        };
        outcome.map_err(|e| CodecError::Code(e.to_string()))?;
        Ok(owned.into_iter().take(wanted).flatten().map(BytesMut::freeze).collect())
    }
}

/// Codecs by geometry, so that each matrix is built once. One per store.
#[derive(Debug, Default)]
pub struct Codecs {
    built: RwLock<HashMap<Geometry, Codec>>,
}

impl Codecs {
    pub fn get(&self, geometry: Geometry) -> Result<Codec, CodecError> {
        if let Some(codec) = self.built.read().get(&geometry) {
            return Ok(codec.clone());
        }
        let codec = Codec::new(geometry)?;
        self.built.write().insert(geometry, codec.clone());
        Ok(codec)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn geometry(data: u8, parity: u8) -> Geometry {
        Geometry {
            data,
            parity,
            unit: 512,
        }
    }

    fn bytes_of(len: usize) -> Bytes {
        (0..len).map(|i| u8::try_from(i * 31 % 251).unwrap()).collect()
    }

    #[test]
    fn full_data_shards_share_the_memory_of_the_stripe() {
        let data = bytes_of(1024);
        let shards = Codec::new(geometry(2, 1)).unwrap().encode_stripe(&data).unwrap();
        assert_eq!(shards[1].payload.as_ptr(), data[512..].as_ptr());
    }

    #[test]
    fn a_byte_over_many_data_shards_is_padded() {
        let codec = Codec::new(geometry(4, 2)).unwrap();
        let shards = codec.encode_stripe(&Bytes::from_static(b"x")).unwrap();
        assert_eq!(shards.len(), 6);
        assert!(shards.iter().all(|s| s.payload.len() == 1));
        let last_two = shards.iter().map(|s| Some(s.payload.clone())).enumerate();
        let kept = last_two.map(|(i, s)| s.filter(|_| i >= 2)).collect();
        assert_eq!(codec.rebuild_stripe(1, kept).unwrap(), b"x".as_slice());
    }

    #[test]
    fn stripes_of_no_bytes_or_too_many_are_refused() {
        let codec = Codec::new(geometry(2, 1)).unwrap();
        assert!(matches!(
            codec.encode_stripe(&Bytes::new()),
            Err(CodecError::StripeLength { .. })
        ));
        assert!(matches!(
            codec.encode_stripe(&bytes_of(1025)),
            Err(CodecError::StripeLength { .. })
        ));
    }

    #[test]
    fn without_parity_a_missing_shard_is_an_error_not_a_guess() {
        let codec = Codec::new(geometry(2, 0)).unwrap();
        let shards = codec.encode_stripe(&bytes_of(100)).unwrap();
        let kept = vec![None, Some(shards[1].payload.clone())];
        assert_eq!(
            codec.rebuild_stripe(100, kept),
            Err(CodecError::TooFew { have: 1, need: 2 })
        );
    }

    #[test]
    fn a_shard_of_another_length_is_refused() {
        let codec = Codec::new(geometry(1, 1)).unwrap();
        let kept = vec![None, Some(Bytes::from_static(b"xx"))];
        assert!(matches!(
            codec.rebuild_stripe(1, kept),
            Err(CodecError::ShardLength { .. })
        ));
    }

    proptest! {
        #[test]
        fn any_k_shards_give_every_shard_back(
            data in 1u8..=12,
            parity in 0u8..=4,
            fill in 0.0f64..=1.0,
            order in any::<u64>(),
        ) {
            let geometry = geometry(data, parity);
            let codec = Codec::new(geometry).unwrap();
            let most = geometry.stripe_bytes_max();
            let body = bytes_of(((most as f64 * fill) as usize).clamp(1, most));
            let all: Vec<Bytes> = codec.encode_stripe(&body).unwrap().into_iter().map(|s| s.payload).collect();
            let mut lost: Vec<usize> = (0..geometry.shards()).collect();
            lost.sort_by_key(|i| (order ^ (*i as u64)).wrapping_mul(0x9E37_79B9_7F4A_7C15));
            lost.truncate(usize::from(parity));
            let kept: Vec<Option<Bytes>> =
                all.iter().enumerate().map(|(i, s)| (!lost.contains(&i)).then(|| s.clone())).collect();
            prop_assert_eq!(codec.rebuild_stripe(body.len(), kept.clone()).unwrap(), body.clone());
            prop_assert_eq!(codec.rebuild_shards(body.len(), kept.clone()).unwrap(), all);
            let mut one_too_many = kept;
            *one_too_many.iter_mut().find(|s| s.is_some()).unwrap() = None;
            let refused = codec.rebuild_stripe(body.len(), one_too_many);
            let too_few = matches!(refused, Err(CodecError::TooFew { .. }));
            prop_assert!(too_few);
        }
    }
}
