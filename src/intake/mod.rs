//! Bytes of files on their way in: looked at once, held to their limits, and told to the catalogue.
//!
//! Owns what becomes of a file by what its bytes are: as they stream, or once they are stored where they could not be
//! looked at before. It never decides who may write, never holds more than the head of a file, and never serves one.

mod parts;
mod settle;
mod watch;

use storage_engine::store::files::UploadLimits;

use crate::media::{self, Mime};

pub use parts::size_of_parts;
pub use settle::{Inspector, Settled};
pub use watch::{Look, cap, watch};

/// What the bytes of a file must be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// Most bytes; `None`: as many as the store takes.
    pub max_size: Option<u64>,
    /// Fewest bytes.
    pub min_size: u64,
    /// Lists of media types; it must be of one of each list that is not empty.
    pub types: Vec<Vec<String>>,
    /// Every media type that its writer says it has. What is none is as if nothing were said.
    pub declared: Vec<String>,
    /// What its SHA-256 must be; `None`: anything.
    pub sha256: Option<[u8; 32]>,
    /// How many bytes it was said to have, where it must have as many; more than that is too many by `max_size` already.
    pub announced: Option<u64>,
}

/// Why the bytes of a file are not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("The file has more than the {max} bytes that are allowed here.")]
    TooLarge { max: u64 },
    #[error("The file has fewer than the {min} bytes that it must have.")]
    TooSmall { min: u64 },
    #[error("The file has not the {announced} bytes that were announced.")]
    Size { announced: u64 },
    #[error(transparent)]
    Type(#[from] media::Mismatch),
    #[error("The SHA-256 of the bytes is not the one that was announced.")]
    Digest,
}

impl Refused {
    /// The refusal at the root of `error`, however deep it was wrapped.
    pub fn find<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(found) = error.downcast_ref::<Self>() {
                return Some(found);
            }
            next = error.source();
        }
        None
    }
}

impl Expected {
    /// What the catalogue says of a file before its bytes come.
    pub fn of(limits: &UploadLimits, declared: Option<&str>) -> Self {
        let mut expected = Self {
            max_size: limits.max_size,
            sha256: limits.sha256,
            announced: limits.size,
            ..Self::default()
        };
        expected.also_of(&limits.types);
        expected.also_declared(declared);
        expected
    }

    /// Takes a further limit on the size.
    pub fn also_at_most(&mut self, max_size: Option<u64>) {
        self.max_size = match (self.max_size, max_size) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }

    /// Takes a further list of types.
    pub fn also_of(&mut self, types: &[String]) {
        if !types.is_empty() {
            self.types.push(types.to_vec());
        }
    }

    /// Takes a further word on what it is.
    pub fn also_declared(&mut self, declared: Option<&str>) {
        self.declared.extend(declared.map(str::to_owned));
    }

    /// Refuses what can be refused before the bytes come. `size`: how many are announced.
    pub fn check_announced(&self, size: Option<u64>) -> Result<(), Refused> {
        if let Some(size) = size {
            self.check_size_so_far(size)?;
            self.check_size(size)?;
        }
        for declared in self.mimes() {
            for types in &self.types {
                let found = declared.essence();
                if !declared.says_nothing() && !media::allows(types, found) {
                    return Err(media::Mismatch::NotAllowed(found.to_owned()).into());
                }
            }
        }
        Ok(())
    }

    /// Refuses what is too large already, though more may come.
    pub fn check_size_so_far(&self, size: u64) -> Result<(), Refused> {
        match self.max_size {
            Some(max) if size > max => Err(Refused::TooLarge { max }),
            Some(_) | None => Ok(()),
        }
    }

    /// Refuses a file of this size.
    pub fn check_size(&self, size: u64) -> Result<(), Refused> {
        self.check_size_so_far(size)?;
        match self.announced {
            Some(announced) if size != announced => Err(Refused::Size { announced }),
            Some(_) | None if size < self.min_size => Err(Refused::TooSmall { min: self.min_size }),
            Some(_) | None => Ok(()),
        }
    }

    /// Refuses a file whose bytes are of this type; `None`: they say none.
    pub fn check_type(&self, sniffed: Option<&str>) -> Result<(), Refused> {
        let mimes: Vec<Mime> = self.mimes().collect();
        for types in &self.types {
            match mimes.as_slice() {
                [] => drop(media::accept(None, sniffed, types)?),
                claims => {
                    for claim in claims {
                        media::accept(Some(claim), sniffed, types)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The type that the catalogue keeps of bytes that say they are `sniffed`: the one they are told as and found by, which
    /// is what was declared where the bytes can be that.
    pub fn kept_type(&self, sniffed: Option<&str>) -> Option<String> {
        let declared = self.mimes().next();
        let accepted = media::accept(declared.as_ref(), sniffed, &[]).ok();
        let told = accepted.and_then(|accepted| Mime::parse(&accepted.content_type).ok());
        let told = told.as_ref().map(Mime::essence).or(sniffed);
        // Of bytes that say nothing, nothing is kept but that they are not what was declared.
        let is_declared = told == declared.as_ref().map(Mime::essence) || declared.is_none();
        told.filter(|_| sniffed.is_some() || !is_declared).map(str::to_owned)
    }

    /// Refuses a file whose bytes have this SHA-256.
    pub fn check_digest(&self, sha256: &[u8; 32]) -> Result<(), Refused> {
        match self.sha256.is_none_or(|announced| announced == *sha256) {
            true => Ok(()),
            false => Err(Refused::Digest),
        }
    }

    fn mimes(&self) -> impl Iterator<Item = Mime> {
        self.declared.iter().filter_map(|text| Mime::parse(text).ok())
    }
}
