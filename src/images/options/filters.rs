//! The filters: what each takes, and the order of their canonical text. A filter that is given twice is refused, since
//! nobody could say which was meant.

use std::collections::BTreeSet;
use std::fmt;

use super::parse::{area, digits, wrong};
use super::{Area, OptionsError};
use crate::images::limits::BLUR_MAX;

/// Filters of thumbor that are not built.
const NOT_BUILT: &[&str] = &[
    "attachment",
    "autojpg",
    "background_color",
    "brightness",
    "colorize",
    "contrast",
    "convolution",
    "cover",
    "curve",
    "distributed_collage",
    "equalize",
    "extract_focal",
    "frame",
    "gifv",
    "max_age",
    "noise",
    "proportion",
    "red_eye",
    "rgb",
    "round_corner",
    "round_corners",
    "saturation",
    "sharpen",
    "stretch",
    "strip_icc",
    "upscale",
    "watermark",
];

/// What is done to the pixels, and how the result is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Filters {
    /// 1 to 100; `None`: 80.
    pub quality: Option<u8>,
    pub format: Format,
    pub blur: Option<Blur>,
    pub no_upscale: bool,
    /// Asked for by name; nothing of EXIF is ever kept.
    pub strip_exif: bool,
    /// The quality is lowered until it fits, or as far as it goes.
    pub max_bytes: Option<u32>,
    /// What must be seen, in pixels of the source.
    pub focal: Option<Area>,
    pub fill: Option<Fill>,
    pub rotate: Turn,
    pub grayscale: bool,
}

/// What the result is written as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// The best that the client takes, or else that of the source.
    #[default]
    Auto,
    Jpeg,
    Png,
    Webp,
    Gif,
    Avif,
}

/// A Gaussian blur, in pixels of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Blur {
    pub radius: u8,
    /// `None`: half the radius.
    pub sigma: Option<u8>,
}

/// What is behind the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fill {
    /// `None`: nothing; it stays transparent where the format can.
    pub colour: Option<Colour>,
    /// Also behind transparent pixels of the image itself.
    pub transparent: bool,
}

/// A colour of sRGB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Colour {
    pub red: u8,
    pub green: u8,
    pub blue: u8,
}

/// A turn against the clock, as thumbor counts, done last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Turn {
    #[default]
    None,
    Quarter,
    Half,
    ThreeQuarters,
}

impl fmt::Display for Filters {
    /// Empty where nothing is asked for.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut all = Vec::new();
        if let Some(quality) = self.quality {
            all.push(format!("quality({quality})"));
        }
        match self.format {
            Format::Auto => {}
            Format::Jpeg => all.push("format(jpeg)".to_owned()),
            Format::Png => all.push("format(png)".to_owned()),
            Format::Webp => all.push("format(webp)".to_owned()),
            Format::Gif => all.push("format(gif)".to_owned()),
            Format::Avif => all.push("format(avif)".to_owned()),
        }
        match self.blur {
            Some(Blur { radius, sigma: None }) => all.push(format!("blur({radius})")),
            Some(Blur {
                radius,
                sigma: Some(sigma),
            }) => all.push(format!("blur({radius},{sigma})")),
            None => {}
        }
        for (asked, name) in [(self.no_upscale, "no_upscale()"), (self.strip_exif, "strip_exif()")] {
            if asked {
                all.push(name.to_owned());
            }
        }
        if let Some(bytes) = self.max_bytes {
            all.push(format!("max_bytes({bytes})"));
        }
        if let Some(area) = self.focal {
            all.push(format!("focal({area})"));
        }
        if let Some(fill) = self.fill {
            let colour = match fill.colour {
                Some(Colour { red, green, blue }) => format!("{red:02x}{green:02x}{blue:02x}"),
                None => "transparent".to_owned(),
            };
            let transparent = if fill.transparent { ",1" } else { "" };
            all.push(format!("fill({colour}{transparent})"));
        }
        match self.rotate {
            Turn::None => {}
            Turn::Quarter => all.push("rotate(90)".to_owned()),
            Turn::Half => all.push("rotate(180)".to_owned()),
            Turn::ThreeQuarters => all.push("rotate(270)".to_owned()),
        }
        if self.grayscale {
            all.push("grayscale()".to_owned());
        }
        if all.is_empty() {
            return Ok(());
        }
        write!(f, "filters:{}", all.join(":"))
    }
}

/// Reads `name(arguments):name(arguments)`.
pub(super) fn parse(text: &str) -> Result<Filters, OptionsError> {
    let mut filters = Filters::default();
    let mut seen = BTreeSet::new();
    let mut rest = text;
    loop {
        let Some((name, after)) = rest.split_once('(') else {
            return Err(wrong("a filter is name(arguments)".to_owned()));
        };
        let Some((arguments, after)) = after.split_once(')') else {
            return Err(wrong("a filter is name(arguments)".to_owned()));
        };
        set(&mut filters, name, arguments.trim())?;
        if !seen.insert(name) {
            return Err(wrong(format!("the filter {name} is there twice")));
        }
        match after.strip_prefix(':') {
            Some(more) => rest = more,
            None if after.is_empty() => return Ok(filters),
            None => return Err(wrong("filters stand apart by a colon".to_owned())),
        }
    }
}

fn set(filters: &mut Filters, name: &str, arguments: &str) -> Result<(), OptionsError> {
    match name {
        "quality" => filters.quality = Some(number(name, arguments, 1, 100)?),
        "format" => filters.format = format_named(arguments)?,
        "blur" => {
            let (radius, sigma) = match arguments.split_once(',') {
                Some((radius, sigma)) => (radius.trim(), Some(sigma.trim())),
                None => (arguments, None),
            };
            filters.blur = Some(Blur {
                radius: number(name, radius, 0, BLUR_MAX)?,
                sigma: sigma.map(|sigma| number(name, sigma, 0, BLUR_MAX)).transpose()?,
            });
        }
        "no_upscale" => filters.no_upscale = nothing(name, arguments)?,
        "strip_exif" => filters.strip_exif = nothing(name, arguments)?,
        "grayscale" => filters.grayscale = nothing(name, arguments)?,
        "max_bytes" => {
            let bytes = digits(arguments).and_then(|bytes| u32::try_from(bytes).ok());
            let bytes = bytes.filter(|bytes| *bytes > 0);
            filters.max_bytes = Some(bytes.ok_or_else(|| wrong("max_bytes takes a number of bytes".to_owned()))?);
        }
        "focal" => {
            let area = area(arguments).unwrap_or_else(|| Err(wrong("focal takes LEFTxTOP:RIGHTxBOTTOM".to_owned())));
            filters.focal = Some(area?);
        }
        "fill" => filters.fill = Some(fill(arguments)?),
        "rotate" => {
            filters.rotate = match digits(arguments) {
                Some(0) => Turn::None,
                Some(90) => Turn::Quarter,
                Some(180) => Turn::Half,
                Some(270) => Turn::ThreeQuarters,
                Some(angle) if angle < 360 => {
                    return Err(OptionsError::NotBuilt("rotate by less than a quarter".to_owned()));
                }
                Some(_) | None => return Err(wrong("rotate takes 0, 90, 180 or 270".to_owned())),
            }
        }
        _ if NOT_BUILT.contains(&name) => return Err(OptionsError::NotBuilt(format!("the filter {name}"))),
        _ => {
            let shown: String = name.chars().take(40).collect();
            return Err(wrong(format!("there is no filter {shown:?}")));
        }
    }
    Ok(())
}

fn format_named(name: &str) -> Result<Format, OptionsError> {
    match name {
        "auto" => Ok(Format::Auto),
        "jpeg" | "jpg" => Ok(Format::Jpeg),
        "png" => Ok(Format::Png),
        "webp" => Ok(Format::Webp),
        "gif" => Ok(Format::Gif),
        "avif" => Ok(Format::Avif),
        "heic" | "jxl" => Err(OptionsError::NotBuilt(format!("the format {name}"))),
        _ => Err(wrong("a format is auto, jpeg, png, webp, gif or avif".to_owned())),
    }
}

fn fill(arguments: &str) -> Result<Fill, OptionsError> {
    let (colour, transparent) = match arguments.split_once(',') {
        Some((colour, flag)) => match flag.trim() {
            "1" | "true" | "True" => (colour.trim(), true),
            "0" | "false" | "False" => (colour.trim(), false),
            _ => return Err(wrong("the second argument of fill is 1 or 0".to_owned())),
        },
        None => (arguments, false),
    };
    let colour = match colour {
        "transparent" => None,
        "white" => Some(grey(255)),
        "black" => Some(grey(0)),
        "auto" | "blur" => return Err(OptionsError::NotBuilt(format!("fill({colour})"))),
        _ => Some(hexadecimal(colour).ok_or_else(|| {
            wrong("a colour is RRGGBB or RGB in hexadecimal, white, black or transparent".to_owned())
        })?),
    };
    Ok(Fill { colour, transparent })
}

fn grey(value: u8) -> Colour {
    Colour {
        red: value,
        green: value,
        blue: value,
    }
}

fn hexadecimal(text: &str) -> Option<Colour> {
    let nibbles: Vec<u8> = text
        .chars()
        .map(|letter| letter.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()?;
    let [red, green, blue] = match *nibbles.as_slice() {
        [red, green, blue] => [red * 17, green * 17, blue * 17],
        [r, red, g, green, b, blue] => [r * 16 + red, g * 16 + green, b * 16 + blue],
        _ => return None,
    };
    Some(Colour { red, green, blue })
}

fn number(name: &str, text: &str, least: u8, most: u8) -> Result<u8, OptionsError> {
    let number = digits(text).and_then(|number| u8::try_from(number).ok());
    number
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| wrong(format!("{name} takes numbers from {least} to {most}")))
}

fn nothing(name: &str, arguments: &str) -> Result<bool, OptionsError> {
    match arguments {
        "" | "true" | "True" => Ok(true),
        "false" | "False" => Ok(false),
        _ => Err(wrong(format!("{name} takes no arguments"))),
    }
}
