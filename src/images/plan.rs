//! From the sizes of a source and what is asked of it to what is taken out of it, and how large that becomes. Pure: it
//! sees no pixel.

use super::limits::OUTPUT_SIDE_MAX;
use super::options::{Area, Fit, HAlign, Options, Side, VAlign};

/// What is to be done to an image of known size, once it stands upright.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    /// What of the image is taken.
    pub taken: Taken,
    /// What that becomes, in pixels.
    pub size: (u32, u32),
    /// The size of what it is put on the middle of; `None`: the result is the image alone.
    pub canvas: Option<(u32, u32)>,
}

/// A part of an image, in pixels and parts of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Taken {
    pub left: f64,
    pub top: f64,
    pub width: f64,
    pub height: f64,
}

/// Where the part that is kept is, of what could be kept along one side: 0 is its start, 1 its end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Placing {
    pub across: f64,
    pub down: f64,
}

/// The area that is left after trimming and cropping; `None`: nothing is, the crop lies outside.
pub fn within(whole: Area, options: &Options) -> Option<Area> {
    let Some(crop) = options.crop else {
        return Some(whole);
    };
    let area = Area {
        left: whole.left.saturating_add(crop.left),
        top: whole.top.saturating_add(crop.top),
        right: whole.left.saturating_add(crop.right).min(whole.right),
        bottom: whole.top.saturating_add(crop.bottom).min(whole.bottom),
    };
    (area.left < area.right && area.top < area.bottom).then_some(area)
}

/// Plans for the part `area` of an image. `placing`: where the interesting is, where somebody knows; else the options say.
pub fn plan(area: Area, options: &Options, placing: Option<Placing>) -> Plan {
    let whole = size_of(area);
    let all = Taken {
        left: f64::from(area.left),
        top: f64::from(area.top),
        width: whole.0,
        height: whole.1,
    };
    match options.fit {
        Fit::In { adaptive, full } => {
            let wanted = wanted(options, whole, adaptive);
            let size = limited(fitted(whole, wanted, full));
            let canvas = match (options.filters.fill, wanted) {
                (Some(_), (Some(width), Some(height))) if !full => Some(rounded((width, height))),
                _ => None,
            };
            let canvas = canvas.map(|(width, height)| (width.max(size.0), height.max(size.1)));
            Plan {
                taken: all,
                size,
                canvas,
            }
        }
        Fit::Fill => {
            let (size, shape) = filled(whole, wanted(options, whole, false), options.filters.no_upscale);
            Plan {
                taken: cut(all, shape, placing.unwrap_or_else(|| aligned(options))),
                size: limited(size),
                canvas: None,
            }
        }
    }
}

/// Where the middle of `focal` should come to lie: as near to the middle of the result as the image allows.
pub fn placing_of(focal: Area, area: Area, options: &Options) -> Placing {
    let whole = size_of(area);
    let (_, (width, height)) = filled(whole, wanted(options, whole, false), options.filters.no_upscale);
    let at = |start: u32, end: u32, from: u32, all: f64, kept: f64| {
        let middle = f64::midpoint(f64::from(start), f64::from(end)) - f64::from(from);
        let room = all - kept;
        if room <= 0.0 {
            return 0.5;
        }
        ((middle - kept / 2.0) / room).clamp(0.0, 1.0)
    };
    Placing {
        across: at(focal.left, focal.right, area.left, whole.0, width),
        down: at(focal.top, focal.bottom, area.top, whole.1, height),
    }
}

/// How much of the area is kept along each side when the rest is cut off.
pub fn kept(area: Area, options: &Options) -> (f64, f64) {
    let whole = size_of(area);
    match options.fit {
        Fit::In { .. } => whole,
        Fit::Fill => filled(whole, wanted(options, whole, false), options.filters.no_upscale).1,
    }
}

fn size_of(area: Area) -> (f64, f64) {
    let (width, height) = (area.right - area.left, area.bottom - area.top);
    (f64::from(width), f64::from(height))
}

fn aligned(options: &Options) -> Placing {
    Placing {
        across: match options.halign {
            HAlign::Left => 0.0,
            HAlign::Centre => 0.5,
            HAlign::Right => 1.0,
        },
        down: match options.valign {
            VAlign::Top => 0.0,
            VAlign::Middle => 0.5,
            VAlign::Bottom => 1.0,
        },
    }
}

/// The sides that are asked for; `None`: it is free.
fn wanted(options: &Options, whole: (f64, f64), adaptive: bool) -> (Option<f64>, Option<f64>) {
    let side = |side: Side, own: f64| match side {
        Side::Free => None,
        Side::Pixels(pixels) => Some(f64::from(pixels)),
        Side::Original => Some(own),
    };
    let (width, height) = (side(options.width, whole.0), side(options.height, whole.1));
    match (width, height) {
        (Some(across), Some(down)) if adaptive && (across > down) != (whole.0 > whole.1) => (Some(down), Some(across)),
        _ => (width, height),
    }
}

/// The size that keeps the shape: never larger than the image is.
fn fitted(whole: (f64, f64), wanted: (Option<f64>, Option<f64>), full: bool) -> (f64, f64) {
    let across = wanted.0.map(|width| width / whole.0);
    let down = wanted.1.map(|height| height / whole.1);
    let scale = match (across, down) {
        (Some(across), Some(down)) if full => across.max(down),
        (Some(across), Some(down)) => across.min(down),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => 1.0,
    };
    let scale = scale.min(1.0);
    (whole.0 * scale, whole.1 * scale)
}

/// The size that is filled, and how much of the image does it, in pixels of the image.
fn filled(whole: (f64, f64), wanted: (Option<f64>, Option<f64>), no_upscale: bool) -> ((f64, f64), (f64, f64)) {
    let (mut width, mut height) = match wanted {
        (Some(width), Some(height)) => (width, height),
        (Some(width), None) => (width, whole.1 * width / whole.0),
        (None, Some(height)) => (whole.0 * height / whole.1, height),
        (None, None) => whole,
    };
    let scale = (width / whole.0).max(height / whole.1);
    let shape = ((width / scale).min(whole.0), (height / scale).min(whole.1));
    if no_upscale && scale > 1.0 {
        (width, height) = (width / scale, height / scale);
    }
    ((width, height), shape)
}

/// The part of this shape, placed.
fn cut(all: Taken, (width, height): (f64, f64), placing: Placing) -> Taken {
    Taken {
        left: all.left + (all.width - width) * placing.across,
        top: all.top + (all.height - height) * placing.down,
        width,
        height,
    }
}

/// The same shape within the largest size there is.
fn limited(size: (f64, f64)) -> (u32, u32) {
    let most = f64::from(OUTPUT_SIDE_MAX);
    let scale = (most / size.0.max(size.1)).min(1.0);
    rounded((size.0 * scale, size.1 * scale))
}

fn rounded((width, height): (f64, f64)) -> (u32, u32) {
    let most = f64::from(OUTPUT_SIDE_MAX);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 1 and the longest side, so it fits"
    )]
    let round = |side: f64| side.round().clamp(1.0, most) as u32;
    (round(width), round(height))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::options::tests::any_options;
    use super::*;

    fn area(width: u32, height: u32) -> Area {
        Area {
            left: 0,
            top: 0,
            right: width,
            bottom: height,
        }
    }

    fn size(options: &str, width: u32, height: u32) -> (u32, u32) {
        plan(area(width, height), &Options::parse(options).unwrap(), None).size
    }

    #[test]
    fn sizes_come_out_as_thumbor_makes_them() {
        for (options, expected) in [
            ("300x200", (300, 200)),
            ("300x0", (300, 150)),
            ("0x200", (400, 200)),
            ("0x0", (1000, 500)),
            ("origx100", (1000, 100)),
            ("2000x2000", (2000, 2000)),
            ("2000x2000/filters:no_upscale()", (500, 500)),
            ("fit-in/300x300", (300, 150)),
            ("fit-in/300x0", (300, 150)),
            ("fit-in/0x100", (200, 100)),
            ("fit-in/5000x0".replace("5000", "4000").as_str(), (1000, 500)),
            ("full-fit-in/300x300", (600, 300)),
            ("adaptive-fit-in/100x200", (200, 100)),
            ("100x100:300x400", (200, 300)),
        ] {
            let mut from = area(1000, 500);
            let options_read = Options::parse(options).unwrap();
            from = within(from, &options_read).unwrap();
            assert_eq!(plan(from, &options_read, None).size, expected, "{options}");
        }
        // No side is ever longer than the longest.
        assert_eq!(size("filters:grayscale()", 8_192, 100), (4_096, 50));
        assert_eq!(size("0x4096", 10_000, 10), (4_096, 4));
        assert_eq!(size("1x0", 10_000, 3), (1, 1));
    }

    #[test]
    fn what_is_cut_off_is_where_it_was_said() {
        let taken = |options: &str| plan(area(1000, 500), &Options::parse(options).unwrap(), None).taken;
        let left = |options: &str| taken(options).left;
        assert_eq!(left("100x100"), 250.0);
        assert_eq!(left("100x100/left"), 0.0);
        assert_eq!(left("100x100/right"), 500.0);
        assert_eq!(taken("1000x100/bottom").top, 400.0);
        let options = Options::parse("100x100").unwrap();
        let focal = |left| Area {
            left,
            top: 0,
            right: left + 100,
            bottom: 100,
        };
        for (from, expected) in [(0, 0.0), (300, 100.0), (450, 250.0), (900, 500.0)] {
            let placing = placing_of(focal(from), area(1000, 500), &options);
            let found = plan(area(1000, 500), &options, Some(placing)).taken.left;
            assert!((found - expected).abs() < 1e-9, "{from}: {found}");
        }
    }

    #[test]
    fn a_crop_outside_of_the_image_is_no_image() {
        let options = Options::parse("100x0:200x10").unwrap();
        assert_eq!(within(area(100, 100), &options), None);
        assert_eq!(
            within(area(150, 5), &options).map(|area| (area.right, area.bottom)),
            Some((150, 5))
        );
    }

    #[test]
    fn a_box_is_filled_up_only_where_a_colour_is_given() {
        let canvas = |options: &str| plan(area(1000, 500), &Options::parse(options).unwrap(), None).canvas;
        assert_eq!(canvas("fit-in/300x300/filters:fill(white)"), Some((300, 300)));
        assert_eq!(canvas("fit-in/300x300"), None);
        assert_eq!(canvas("fit-in/300x0/filters:fill(white)"), None);
        assert_eq!(canvas("300x300/filters:fill(white)"), None);
    }

    proptest! {
        #[test]
        fn every_plan_is_within_the_image_and_the_limits(options in any_options(), width in 1..20_000_u32, height in 1..20_000_u32) {
            let Some(area) = within(area(width, height), &options) else { return Ok(()) };
            let placing = options.filters.focal.map(|focal| placing_of(focal, area, &options));
            let plan = plan(area, &options, placing);
            let sides = [plan.size.0, plan.size.1, plan.canvas.map_or(1, |c| c.0), plan.canvas.map_or(1, |c| c.1)];
            prop_assert!(sides.iter().all(|side| (1..=OUTPUT_SIDE_MAX).contains(side)), "{:?}", plan);
            let taken = plan.taken;
            let slack = 1e-6;
            prop_assert!(taken.left >= f64::from(area.left) - slack && taken.top >= f64::from(area.top) - slack);
            prop_assert!(taken.left + taken.width <= f64::from(area.right) + slack);
            prop_assert!(taken.top + taken.height <= f64::from(area.bottom) + slack);
            prop_assert!(taken.width > 0.0 && taken.height > 0.0);
        }
    }
}
