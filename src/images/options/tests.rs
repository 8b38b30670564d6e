//! The grammar: what is read, what is refused, and that options survive being written and read.

use proptest::option;
use proptest::prelude::*;

use super::*;

fn canonical(path: &str) -> String {
    let (options, rest) = take(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    assert_eq!(rest, "k.jpg", "{path}");
    options.map_or_else(|| "none".to_owned(), |options| options.to_string())
}

#[test]
fn urls_of_thumbor_and_bkend_are_read() {
    for (path, expected) in [
        ("k.jpg", "none"),
        ("400x300/k.jpg", "400x300"),
        ("400x/k.jpg", "400x0"),
        ("x300/k.jpg", "0x300"),
        ("0x0/k.jpg", "0x0"),
        ("-400x-300/k.jpg", "-400x-300"),
        ("-x-/k.jpg", "-0x-0"),
        ("origx300/k.jpg", "origx300"),
        ("fit-in/0x300/k.jpg", "fit-in/0x300"),
        ("adaptive-full-fit-in/4x3/k.jpg", "adaptive-full-fit-in/4x3"),
        (
            "192x192/smart/filters:quality(80)/k.jpg",
            "192x192/smart/filters:quality(80)",
        ),
        ("trim/k.jpg", "trim:top-left:0"),
        ("trim:50/k.jpg", "trim:top-left:50"),
        ("trim:bottom-right:9/k.jpg", "trim:bottom-right:9"),
        (
            "10x20:110x220/100x/left/bottom/k.jpg",
            "10x20:110x220/100x0/left/bottom",
        ),
        ("100x100/center/middle/k.jpg", "100x100"),
        ("filters:format(auto)/k.jpg", "0x0"),
        (
            "filters:format(jpg):quality(1)/k.jpg",
            "filters:quality(1):format(jpeg)",
        ),
        ("filters:blur(7,3):grayscale()/k.jpg", "filters:blur(7,3):grayscale()"),
        ("filters:fill(f00)/k.jpg", "filters:fill(ff0000)"),
        ("filters:fill(transparent,true)/k.jpg", "filters:fill(transparent,1)"),
        (
            "filters:rotate(270):no_upscale():strip_exif()/k.jpg",
            "filters:no_upscale():strip_exif():rotate(270)",
        ),
        (
            "filters:focal(1x2:3x4):max_bytes(5000)/k.jpg",
            "filters:max_bytes(5000):focal(1x2:3x4)",
        ),
    ] {
        assert_eq!(canonical(path), expected, "{path}");
    }
}

#[test]
fn what_is_no_option_is_the_beginning_of_the_key() {
    for path in [
        "x/k.jpg",
        "smart.jpg",
        "1x2x3/k.jpg",
        "ax2/k.jpg",
        "Smart/k.jpg",
        "fit-in.png",
        "trimmed/k.jpg",
    ] {
        assert_eq!(take(path), Ok((None, path)));
    }
    // Options have an order; what comes too late is not read as one.
    let (_, rest) = take("smart/300x200/k.jpg").unwrap();
    assert_eq!(rest, "300x200/k.jpg");
    let file = "0123456789abcdef0123456789abcdef/filters:a.jpg";
    assert_eq!(take(file), Ok((None, file)));
}

#[test]
fn what_is_beyond_a_limit_is_refused_and_what_is_not_built_says_so() {
    for path in [
        "4097x1/k",
        "1x99999999999999999999999/k",
        "filters:quality(0)/k",
        "filters:quality(101)/k",
        "filters:quality()/k",
        "filters:blur(151)/k",
        "filters:blur(1,151)/k",
        "filters:max_bytes(0)/k",
        "filters:rotate(360)/k",
        "filters:quality(80)quality(80)/k",
        "filters:quality(80):quality(80)/k",
        "filters:quality(80/k",
        "filters:/k",
        "filters:nonsense()/k",
        "filters:fill(red1)/k",
        "filters:fill(äää)/k",
        "filters:focal(3x3:1x1)/k",
        "filters:format(tiff)/k",
        "5x5:5x9/k",
        "trim:443/k",
        "trim:top-left:1:2/k",
    ] {
        assert!(
            matches!(take(path), Err(OptionsError::Wrong(_))),
            "{path}: {:?}",
            take(path)
        );
    }
    for path in [
        "filters:watermark(http://elsewhere/k",
        "filters:format(heic)/k",
        "filters:rotate(45)/k",
        "filters:fill(auto)/k",
        "filters:sharpen(1)/k",
    ] {
        let found = take(path);
        let expected = if path.contains("watermark") {
            // An address has slashes, so this one is not even well formed.
            matches!(found, Err(OptionsError::Wrong(_)))
        } else {
            matches!(found, Err(OptionsError::NotBuilt(_)))
        };
        assert!(expected, "{path}: {found:?}");
    }
    assert!(matches!(
        take("filters:watermark(a,1,1,1)/k"),
        Err(OptionsError::NotBuilt(_))
    ));
}

#[test]
fn a_preset_is_options_and_nothing_else() {
    assert_eq!(Options::parse("fit-in/400x300").unwrap().to_string(), "fit-in/400x300");
    for text in ["", "k.jpg", "400x300/k.jpg", "400x300/400x300"] {
        assert!(Options::parse(text).is_err(), "{text}");
    }
}

fn areas() -> impl Strategy<Value = Area> {
    (0..9_000_u32, 0..9_000_u32, 1..9_000_u32, 1..9_000_u32).prop_map(|(left, top, width, height)| Area {
        left,
        top,
        right: left + width,
        bottom: top + height,
    })
}

fn sides() -> impl Strategy<Value = Side> {
    prop_oneof![
        Just(Side::Free),
        Just(Side::Original),
        (1..=4_096_u16).prop_map(Side::Pixels)
    ]
}

fn filter_sets() -> impl Strategy<Value = Filters> {
    let colours = any::<(u8, u8, u8)>().prop_map(|(red, green, blue)| Colour { red, green, blue });
    let fills = (option::of(colours), any::<bool>()).prop_map(|(colour, transparent)| Fill { colour, transparent });
    let blurs = (0..=150_u8, option::of(0..=150_u8)).prop_map(|(radius, sigma)| Blur { radius, sigma });
    let formats = prop_oneof![
        Just(Format::Auto),
        Just(Format::Jpeg),
        Just(Format::Png),
        Just(Format::Webp),
        Just(Format::Gif),
        Just(Format::Avif)
    ];
    let turns = prop_oneof![
        Just(Turn::None),
        Just(Turn::Quarter),
        Just(Turn::Half),
        Just(Turn::ThreeQuarters)
    ];
    let first = (
        option::of(1..=100_u8),
        formats,
        option::of(blurs),
        any::<(bool, bool, bool)>(),
    );
    let second = (option::of(1..=u32::MAX), option::of(areas()), option::of(fills), turns);
    (first, second).prop_map(
        |((quality, format, blur, flags), (max_bytes, focal, fill, rotate))| Filters {
            quality,
            format,
            blur,
            no_upscale: flags.0,
            strip_exif: flags.1,
            max_bytes,
            focal,
            fill,
            rotate,
            grayscale: flags.2,
        },
    )
}

pub(in crate::images) fn any_options() -> impl Strategy<Value = Options> {
    let trims = (any::<bool>(), 0..=442_u16).prop_map(|(last, tolerance)| Trim {
        corner: if last { Corner::BottomRight } else { Corner::TopLeft },
        tolerance,
    });
    let fits = prop_oneof![
        Just(Fit::Fill),
        any::<(bool, bool)>().prop_map(|(adaptive, full)| Fit::In { adaptive, full })
    ];
    let haligns = prop_oneof![Just(HAlign::Left), Just(HAlign::Centre), Just(HAlign::Right)];
    let valigns = prop_oneof![Just(VAlign::Top), Just(VAlign::Middle), Just(VAlign::Bottom)];
    let size = (fits, sides(), sides(), any::<(bool, bool)>());
    let place = (haligns, valigns, any::<bool>());
    (option::of(trims), option::of(areas()), size, place, filter_sets()).prop_map(
        |(trim, crop, (fit, width, height, flips), (halign, valign, smart), filters)| Options {
            trim,
            crop,
            fit,
            width,
            height,
            flip_horizontally: flips.0,
            flip_vertically: flips.1,
            halign,
            valign,
            smart,
            filters,
        },
    )
}

proptest! {
    #[test]
    fn options_survive_being_written_and_read(options in any_options()) {
        let text = options.to_string();
        let path = format!("{text}/0123456789abcdef0123456789abcdef/k.jpg");
        let (read, rest) = take(&path).unwrap();
        prop_assert_eq!(read, Some(options));
        prop_assert_eq!(rest, "0123456789abcdef0123456789abcdef/k.jpg");
    }

    #[test]
    fn no_text_makes_the_grammar_panic(text in "[-0-9x:/().,a-z%=]{0,60}") {
        if let Ok((Some(options), _)) = take(&text) {
            prop_assert_eq!(Options::parse(&options.to_string()).unwrap(), options);
        }
    }
}
