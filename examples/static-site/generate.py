"""Makes HTML of text files: the first line is the title, blank lines part paragraphs, and
[words](page.html) is a link."""

import argparse
import html
import json
import pathlib
import re
import string


def paragraph(text):
    text = html.escape(" ".join(text.split()))
    return "<p>" + re.sub(r"\[([^]]+)\]\(([^)]+)\)", r'<a href="\2">\1</a>', text) + "</p>"


def page(template, config, path):
    title, _, body = path.read_text(encoding="utf-8").partition("\n")
    paragraphs = [paragraph(part) for part in re.split(r"\n\s*\n", body.strip()) if part]
    return template.substitute(
        title=html.escape(title), site=html.escape(config["title"]),
        url=f"{config['base_url']}/{path.stem}.html", body="\n".join(paragraphs))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("config", "pages", "output"):
        parser.add_argument(f"--{name}", type=pathlib.Path, required=True)
    options = parser.parse_args()
    config = json.loads(options.config.read_text(encoding="utf-8"))
    template = string.Template(pathlib.Path("template.html").read_text(encoding="utf-8"))
    for path in sorted(options.pages.glob("*.txt")):
        target = options.output / f"{path.stem}.html"
        target.write_text(page(template, config, path), encoding="utf-8")
        print(target)


if __name__ == "__main__":
    main()
