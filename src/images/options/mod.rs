//! What is asked of an image, and its one canonical text: the same wish has the same text, whatever its URL looked like.
//!
//! It holds no pixel and knows no file; [`super::path`] reads a URL into it. Pure.

mod filters;
mod parse;
#[cfg(test)]
pub(super) mod tests;

use std::fmt;

pub use filters::{Blur, Colour, Fill, Filters, Format, Turn};
pub(super) use parse::take;

/// Why a wish is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// It is not well formed, or beyond a limit.
    #[error("{0}")]
    Wrong(String),
    /// It is well formed, and not built.
    #[error("{0} is not built")]
    NotBuilt(String),
}

/// What is asked of an image, in the order in which it is done: orientation of its EXIF, trim, crop, size, flips, filters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Options {
    pub trim: Option<Trim>,
    /// Taken out by hand, in pixels of the source.
    pub crop: Option<Area>,
    pub fit: Fit,
    pub width: Side,
    pub height: Side,
    pub flip_horizontally: bool,
    pub flip_vertically: bool,
    pub halign: HAlign,
    pub valign: VAlign,
    /// What is cut off is where there is least to see.
    pub smart: bool,
    pub filters: Filters,
}

/// Takes a border of one colour away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Trim {
    /// The corner whose colour is the border's.
    pub corner: Corner,
    /// How far a colour may be from it, as a distance in RGB.
    pub tolerance: u16,
}

/// A corner of an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Corner {
    #[default]
    TopLeft,
    BottomRight,
}

/// A part of an image; right and bottom are the first pixels outside, and never at or before left and top.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Area {
    pub left: u32,
    pub top: u32,
    pub right: u32,
    pub bottom: u32,
}

/// How an image comes to the size that is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Fit {
    /// It fills the size; what is too much is cut off.
    #[default]
    Fill,
    /// It keeps its shape and is never made larger.
    In {
        /// A size that lies when the image stands, or the other way round, is turned.
        adaptive: bool,
        /// The size is the least that it has, and not the most.
        full: bool,
    },
}

/// One side of the size that is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Side {
    /// As the other side and the shape of the image have it.
    #[default]
    Free,
    Pixels(u16),
    /// That of the source.
    Original,
}

/// What of the width stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum HAlign {
    Left,
    #[default]
    Centre,
    Right,
}

/// What of the height stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum VAlign {
    Top,
    #[default]
    Middle,
    Bottom,
}

impl Options {
    /// Reads the options of a preset, which are written as in a URL: `fit-in/400x300/filters:quality(75)`.
    pub fn parse(text: &str) -> Result<Self, OptionsError> {
        let (options, rest) = take(text)?;
        match options {
            Some(options) if rest.is_empty() => Ok(options),
            Some(_) | None => {
                let shown: String = rest.chars().take(80).collect();
                Err(OptionsError::Wrong(format!(
                    "{shown:?} is no option, or not in its place"
                )))
            }
        }
    }
}

impl fmt::Display for Options {
    /// Never empty, and read back as the same options.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut segments = Vec::new();
        if let Some(trim) = self.trim {
            segments.push(trim.to_string());
        }
        if let Some(area) = self.crop {
            segments.push(area.to_string());
        }
        if let Fit::In { adaptive, full } = self.fit {
            let (adaptive, full) = (if adaptive { "adaptive-" } else { "" }, if full { "full-" } else { "" });
            segments.push(format!("{adaptive}{full}fit-in"));
        }
        let minus = |flip: bool| if flip { "-" } else { "" };
        let (across, down) = (minus(self.flip_horizontally), minus(self.flip_vertically));
        let sized = (self.width, self.height) != (Side::Free, Side::Free) || !across.is_empty() || !down.is_empty();
        let size = || format!("{across}{}x{down}{}", self.width, self.height);
        if sized {
            segments.push(size());
        }
        match self.halign {
            HAlign::Left => segments.push("left".to_owned()),
            HAlign::Centre => {}
            HAlign::Right => segments.push("right".to_owned()),
        }
        match self.valign {
            VAlign::Top => segments.push("top".to_owned()),
            VAlign::Middle => {}
            VAlign::Bottom => segments.push("bottom".to_owned()),
        }
        if self.smart {
            segments.push("smart".to_owned());
        }
        let filters = self.filters.to_string();
        if !filters.is_empty() {
            segments.push(filters);
        }
        if segments.is_empty() {
            segments.push(size());
        }
        f.write_str(&segments.join("/"))
    }
}

impl fmt::Display for Trim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let corner = match self.corner {
            Corner::TopLeft => "top-left",
            Corner::BottomRight => "bottom-right",
        };
        write!(f, "trim:{corner}:{}", self.tolerance)
    }
}

impl fmt::Display for Area {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}:{}x{}", self.left, self.top, self.right, self.bottom)
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Free => f.write_str("0"),
            Self::Pixels(pixels) => write!(f, "{pixels}"),
            Self::Original => f.write_str("orig"),
        }
    }
}
