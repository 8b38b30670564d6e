"""Images by URL, as another decoder sees them: above all AVIF, which the server writes and never reads."""

import io
import json
import os
import pathlib
import sys
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from PIL import Image

from cases import ENDPOINT, case, equal, main

KEY = os.environ["COMPAT_SK"]
IMAGES = f"{ENDPOINT}/v1/img/shop/dev"


def asked(method, url, body=None, kind="application/json"):
    headers = {"X-API-Key": KEY, "Content-Type": kind}
    request = urllib.request.Request(url, data=body, method=method, headers=headers)
    with urllib.request.urlopen(request, timeout=120) as answer:
        return answer.headers, answer.read()


def stored(image, name, **how):
    """Stores an image as a file of the app; gives its key."""
    out = io.BytesIO()
    image.save(out, "PNG", **how)
    made = asked("POST", f"{ENDPOINT}/v1/files/upload?filename={name}", out.getvalue(), "image/png")
    return json.loads(made[1])["key"]


def shown(options, key):
    headers, body = asked("GET", f"{IMAGES}/{options}/{key}")
    image = Image.open(io.BytesIO(body))
    image.load()
    equal(headers["Content-Type"], Image.MIME[image.format], "what it says to be")
    return image, body


def waves(mode="RGB", size=(320, 240)):
    """A picture with soft and hard places; in RGBA the right half is seen through."""
    image = Image.linear_gradient("L").resize(size)
    other = image.rotate(180)
    bands = [image, other, Image.radial_gradient("L").resize(size)]
    if mode == "RGBA":
        alpha = Image.new("L", size, 255)
        alpha.paste(0, (size[0] // 2, 0, *size))
        bands.append(alpha)
    return Image.merge(mode, bands)


def difference(one, other):
    pairs = zip(one.convert("RGB").tobytes(), other.convert("RGB").tobytes())
    return sum(abs(left - right) for left, right in pairs) / (3 * one.width * one.height)


@case
def an_avif_shows_what_its_source_shows():
    source = waves()
    key = stored(source, "waves.png")
    for quality, most in [(30, 6), (80, 3), (100, 2)]:
        image, _ = shown(f"filters:quality({quality}):format(avif)", key)
        equal((image.format, image.mode, image.size), ("AVIF", "RGB", source.size))
        far = difference(image, source)
        assert far < most, f"quality {quality}: {far:.2f} of 255 away from the source"
    small, _ = shown("101x57/filters:format(avif)", key)
    equal(small.size, (101, 57), "sides that are odd")
    one, _ = shown("1x1/filters:format(avif)", key)
    equal(one.size, (1, 1))


@case
def an_avif_is_seen_through_where_its_source_is():
    key = stored(waves("RGBA"), "through.png")
    image, _ = shown("filters:format(avif)", key)
    equal((image.format, image.mode, image.size), ("AVIF", "RGBA", (320, 240)))
    alpha = image.getchannel("A")
    assert alpha.getpixel((40, 120)) > 250 and alpha.getpixel((280, 120)) < 5, "alpha"
    far = difference(image.crop((0, 0, 150, 240)), waves().crop((0, 0, 150, 240)))
    assert far < 4, f"{far:.2f} of 255 away from the source"


@case
def no_image_tells_what_its_source_tells_beside_its_pixels():
    exif = Image.Exif()
    exif[0x010E] = "told by nobody"
    exif.get_ifd(0x8825)[1] = "N"
    key = stored(waves(), "told.png", exif=exif)
    for kind in ["avif", "webp", "jpeg", "png"]:
        image, body = shown(f"64x48/filters:format({kind})", key)
        equal(len(image.getexif()), 0, f"fields of EXIF in {kind}")
        assert b"told by nobody" not in body and "icc_profile" not in image.info, kind


main()
