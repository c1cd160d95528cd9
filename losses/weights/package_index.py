"""Source distributions from the package index that pip is set up for; nothing of them is run.

Pip itself would build what it downloads, so it is asked only for its settings. The index is read by
its simple interface (PEP 503 and PEP 691).
"""

import html
import http.client
import json
import re
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

SETTINGS = ("index_url", "extra_index_urls", "no_index", "cert", "proxy")
ASK_PIP = f"""
import json
from pip._internal.commands import create_command
options = create_command("download").parse_args([])[0]
print(json.dumps({{name: getattr(options, name) for name in {SETTINGS}}}))
"""
ACCEPT = "application/vnd.pypi.simple.v1+json, text/html;q=0.5"
OpenUrl = Callable[..., http.client.HTTPResponse]


def find_archive(project: str, file: str, timeout: float = 30.0) -> tuple[str, OpenUrl]:
    """Find a file of a project on the package index.

    Args:
        project: its name.
        file: name of the file, such as "name-1.0.tar.gz".
        timeout: seconds to wait for the server.

    Returns:
        Its address, and what opens it with pip's proxy, certificates and logins.

    Raises:
        ConnectionError: pip is missing, or no index that it is set up for has the file.
    """
    settings = pip_settings()
    indexes = [] if settings["no_index"] else [settings["index_url"]]
    passwords = urllib.request.HTTPPasswordMgrWithPriorAuth()
    open_url = _opener(settings, passwords).open
    reasons = []
    for index in [*indexes, *settings["extra_index_urls"]]:
        page = _take_login(index, passwords).rstrip("/")
        page = f"{page}/{re.sub(r'[-_.]+', '-', project).lower()}/"
        page += "index.html" if page.startswith("file:") else ""
        try:
            request = urllib.request.Request(page, headers={"Accept": ACCEPT})  # noqa: S310
            with open_url(request, timeout=timeout) as response:
                found = _address(response.read().decode(), response.geturl(), file)
        except (OSError, http.client.HTTPException, ValueError) as error:
            reasons.append(str(getattr(error, "reason", error)))
            continue
        if found is not None:
            return found, open_url
    raise ConnectionError(f"not found ({'; '.join(reasons) or 'no index is set'})")


def pip_settings() -> dict[str, Any]:
    """Return pip's own view of its configuration: files, environment and defaults.

    Raises:
        ConnectionError: pip is not installed beside this interpreter, or does not answer.
    """
    asked = subprocess.run(  # noqa: S603
        [sys.executable, "-c", ASK_PIP], capture_output=True, text=True, check=False
    )
    if asked.returncode:
        raise ConnectionError("pip, which knows the package index, is not installed here")
    settings: dict[str, Any] = json.loads(asked.stdout)
    return settings


def _opener(
    settings: dict[str, Any], passwords: urllib.request.HTTPPasswordMgr
) -> urllib.request.OpenerDirector:
    context = ssl.create_default_context(cafile=settings["cert"])
    handlers: list[urllib.request.BaseHandler] = [
        urllib.request.HTTPSHandler(context=context),
        urllib.request.HTTPBasicAuthHandler(passwords),
    ]
    if proxy := settings["proxy"]:
        handlers.append(urllib.request.ProxyHandler({"http": proxy, "https": proxy}))
    return urllib.request.build_opener(*handlers)


def _take_login(url: str, passwords: urllib.request.HTTPPasswordMgrWithPriorAuth) -> str:
    """Return the address of an index without the user and password that stand in it."""
    parts = urlsplit(url)
    if parts.username is None:
        return url
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2])
    host = urlunsplit(bare._replace(path="", query="", fragment=""))
    login = unquote(parts.username), unquote(parts.password or "")
    passwords.add_password(None, host, *login, is_authenticated=True)
    return urlunsplit(bare)


def _address(page: str, base: str, file: str) -> str | None:
    """Address of a file on a project's page, which is JSON or HTML."""
    for link in _links(page):
        address = urljoin(base, link).partition("#")[0]
        if urlsplit(address).path.rpartition("/")[2] == file:
            return address
    return None


def _links(page: str) -> Iterator[str]:
    if page.lstrip().startswith("{"):
        yield from (entry["url"] for entry in json.loads(page)["files"])
    else:
        yield from map(html.unescape, re.findall(r"""<a\s[^>]*href=["']([^"']+)""", page))
