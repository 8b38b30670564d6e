//! Reads options, segment by segment, in thumbor's order. What is no option ends them.

use super::{Area, Corner, Fit, HAlign, Options, OptionsError, Side, Trim, VAlign, filters};
use crate::images::limits::{OUTPUT_SIDE_MAX, TOLERANCE_MAX};

/// What stands before the rest, split at the first slash; a text without slash is all first segment.
fn split(text: &str) -> (&str, &str) {
    text.split_once('/').unwrap_or((text, ""))
}

/// Takes the options that `text` begins with, and gives what follows them. `None`: it begins with none.
pub(in crate::images) fn take(text: &str) -> Result<(Option<Options>, &str), OptionsError> {
    let mut options = Options::default();
    let mut rest = text;
    for step in [trim, crop, fit, size, halign, valign, smart, filter] {
        let (segment, after) = split(rest);
        if step(&mut options, segment)? {
            rest = after;
        }
    }
    // Options that ask for nothing are there all the same: the image is made anew.
    Ok((((rest.len()) < text.len()).then_some(options), rest))
}

/// Reads a segment into the options if it is its kind.
fn trim(options: &mut Options, segment: &str) -> Result<bool, OptionsError> {
    let mut words = segment.split(':');
    if words.next() != Some("trim") {
        return Ok(false);
    }
    let mut trim = Trim {
        corner: Corner::default(),
        tolerance: 0,
    };
    let mut word = words.next();
    match word {
        Some("top-left") => word = words.next(),
        Some("bottom-right") => {
            trim.corner = Corner::BottomRight;
            word = words.next();
        }
        Some(_) | None => {}
    }
    if let Some(text) = word {
        let known = digits(text).and_then(|number| u16::try_from(number).ok());
        trim.tolerance = known
            .filter(|tolerance| *tolerance <= TOLERANCE_MAX)
            .ok_or_else(|| wrong(format!("a tolerance of trim is a number from 0 to {TOLERANCE_MAX}")))?;
    }
    if words.next().is_some() {
        return Err(wrong("trim has a corner and a tolerance at most".to_owned()));
    }
    options.trim = Some(trim);
    Ok(true)
}

fn crop(options: &mut Options, segment: &str) -> Result<bool, OptionsError> {
    let Some(area) = area(segment) else {
        return Ok(false);
    };
    options.crop = Some(area?);
    Ok(true)
}

/// `AxB:CxD`; `None`: it is no such thing.
pub(super) fn area(text: &str) -> Option<Result<Area, OptionsError>> {
    let (start, end) = text.split_once(':')?;
    let pair = |text: &str| -> Option<(u64, u64)> {
        let (across, down) = text.split_once('x')?;
        Some((digits(across)?, digits(down)?))
    };
    let ((left, top), (right, bottom)) = (pair(start)?, pair(end)?);
    let fits = |number: u64| u32::try_from(number).ok();
    let area = match (fits(left), fits(top), fits(right), fits(bottom)) {
        (Some(left), Some(top), Some(right), Some(bottom)) if left < right && top < bottom => Area {
            left,
            top,
            right,
            bottom,
        },
        _ => {
            let text = "an area is LEFTxTOP:RIGHTxBOTTOM in pixels, with something between".to_owned();
            return Some(Err(wrong(text)));
        }
    };
    Some(Ok(area))
}

fn fit(options: &mut Options, segment: &str) -> Result<bool, OptionsError> {
    let (adaptive, full) = match segment {
        "fit-in" => (false, false),
        "adaptive-fit-in" => (true, false),
        "full-fit-in" => (false, true),
        "adaptive-full-fit-in" => (true, true),
        _ => return Ok(false),
    };
    options.fit = Fit::In { adaptive, full };
    Ok(true)
}

fn size(options: &mut Options, segment: &str) -> Result<bool, OptionsError> {
    let Some((across, down)) = segment.split_once('x') else {
        return Ok(false);
    };
    // A lone x says nothing, and is somebody's folder.
    if segment == "x" {
        return Ok(false);
    }
    let (Some((flip_across, width)), Some((flip_down, height))) = (side(across), side(down)) else {
        return Ok(false);
    };
    options.width = width?;
    options.height = height?;
    options.flip_horizontally = flip_across;
    options.flip_vertically = flip_down;
    Ok(true)
}

/// One side with its flip; `None`: it is none.
fn side(text: &str) -> Option<(bool, Result<Side, OptionsError>)> {
    let (flip, text) = match text.strip_prefix('-') {
        Some(text) => (true, text),
        None => (false, text),
    };
    let side = match text {
        "" => Ok(Side::Free),
        "orig" => Ok(Side::Original),
        _ => pixels(digits(text)?),
    };
    Some((flip, side))
}

fn pixels(number: u64) -> Result<Side, OptionsError> {
    if number == 0 {
        return Ok(Side::Free);
    }
    let known = u16::try_from(number).ok();
    known
        .filter(|pixels| u32::from(*pixels) <= OUTPUT_SIDE_MAX)
        .map(Side::Pixels)
        .ok_or_else(|| wrong(format!("a side has {OUTPUT_SIDE_MAX} pixels at most")))
}

fn halign(options: &mut Options, segment: &str) -> Result<bool, OptionsError> {
    options.halign = match segment {
        "left" => HAlign::Left,
        "center" => HAlign::Centre,
        "right" => HAlign::Right,
        _ => return Ok(false),
    };
    Ok(true)
}

fn valign(options: &mut Options, segment: &str) -> Result<bool, OptionsError> {
    options.valign = match segment {
        "top" => VAlign::Top,
        "middle" => VAlign::Middle,
        "bottom" => VAlign::Bottom,
        _ => return Ok(false),
    };
    Ok(true)
}

fn smart(options: &mut Options, segment: &str) -> Result<bool, OptionsError> {
    options.smart = segment == "smart";
    Ok(options.smart)
}

fn filter(options: &mut Options, segment: &str) -> Result<bool, OptionsError> {
    match segment.strip_prefix("filters:") {
        Some(text) => {
            options.filters = filters::parse(text)?;
            Ok(true)
        }
        None => Ok(false),
    }
}

/// A number of digits only; more than fit mean more than anything may have.
pub(super) fn digits(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(u64::MAX))
}

pub(super) fn wrong(text: String) -> OptionsError {
    OptionsError::Wrong(text)
}
