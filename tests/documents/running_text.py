"""The commands in running text, and how each is typed.

``TYPED`` has one entry for every command and option that stands in a sentence or a table: what its
reader types around it, and what has to be seen then. ``{}`` stands for what is written there, with
the words of ``FILLED`` filled in. ``RUN_ELSEWHERE`` names the tests of what doesn't end, or wants a
browser or a tree of its own. What a block of the same document has as well is run with the block.

A single word is the name of something, and what stands in ``NO_COMMANDS`` is none either.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.documents.blocks import DOCUMENTS, Block, blocks_of, spans_of

RUN_ELSEWHERE = {
    "condarium serve": "tests/documents/test_starting.py",
    "condarium worker": "tests/documents/test_starting.py",
    "condarium migrate": "tests/documents/test_starting.py",
    "condarium demo": "tests/documents/test_starting.py",
    "make demo": "tests/documents/test_starting.py",
    "make bench": "tests/portal/test_benchmarks.py",
    'make bench ARGS="--only index --quick"': "tests/portal/test_benchmarks.py",
    "--web-only": "tests/documents/test_starting.py",
    "anaconda login --at anaconda.org": "tests/registry/dialects/anaconda/test_login.py",
    "anaconda logout --at anaconda.org": "tests/registry/dialects/anaconda/test_login.py",
}

# The languages of blocks whose commands are run.
RUN = {"sh", "yaml", "groovy"}

# By their form: requests, headers, JSON, what is answered.
_NO_COMMAND = re.compile(
    r"(?:GET|POST|PUT|PATCH|DELETE|HEAD) \S+|(?:[\w-]+:|[{\"]).*|[1-5]\d\d [A-Z]\w+( [A-Z]\w+)?"
)
NO_COMMANDS = {
    ". - _": "characters of names",
    ". _ +": "characters of versions",
    ". - _ / :": "characters of channels' names",
    "0 published": "printed by a command above it, whose entry looks for it",
    "0 refused": "as well",
    "Authentication token does not have the sufficient scope to perform this action expected: "
    "api:write": "the words of an answer",
    "numpy scipy/1.*": "a pattern",
    "real_ip_header X-Forwarded-For": "a directive of nginx",
    "xz >=5": "a dependency",
}

# What its reader puts in the place of a word of the documents; an entry may say otherwise.
FILLED = {
    "<token>": "$TOKEN",
    "ACCOUNT/CHANNEL": "acme/taken",
    "ACCOUNT": "acme",
    "ADDRESS": "eva@example.org",
    "CHANNEL": "left-over",
    "FILE": "token.txt",
    "LABEL": "dev",
    "N": "2",
    "OWNER": "old-account",
    "PATTERN": "'hel*'",
    "SCOPE": "api:read",
    "SOURCE": "conda-bld",
    "SUBDIR": "noarch",
    "TEXT": "'Back at noon.'",
    "URL": "$HOST/api",
    "USER": "ada",
    "on|off": "off",
}
# What lies at hand in the folder of each entry, and with other bytes in ``again/``.
PACKAGES = (
    "attested", "by-name", "by-url", "created", "forced", "from-dev", "from-github", "from-gitlab",
    "from-jenkins", "hidden", "made", "moved", "over", "plain", "replaced", "said", "secret",
    "skipped", "sole",
)  # fmt: skip

# For the entries: asks the host, waits for what comes a moment later, and asks its database.
SHELL = """\
get() { curl -sS --fail-with-body -m 60 -H "Authorization: Bearer $TOKEN" "$HOST$@"; }
send() { get "$1" --json "$2" -o sent; }
sees() { get "$1" | grep -e "$2"; }
files() { sees "/api/channels/$1" conda | grep -oE '[a-z-]+-1[.]0-0[.]conda' | sed 's/^/in /'; }
installed() { find prefix/conda-meta -name '*.json' -printf 'installed %f\\n'; rm -r prefix; }
ask() { python3 -c 'import sqlite3, sys
for row in sqlite3.connect(sys.argv[1]).execute(sys.argv[2]): print(*row)' \\
    "$DATA/condarium.sqlite3" "$1"; }
soon() { for _ in $(seq 150); do "$@" > tried 2>&1 && return; sleep 0.1; done; cat tried; false; }
"""


@dataclass(frozen=True)
class Typed:
    """A command in running text of these documents, and the shell in which it is typed."""

    documents: str
    written: str
    typed: str = "{}"
    prints: tuple[str, ...] = ()
    """Patterns of what has to be printed by all of it, in any order."""
    lacks: str = ""
    """A pattern of what must not be."""
    filled: dict[str, str] = field(default_factory=dict)

    @property
    def shell(self) -> str:
        words = {**FILLED, **self.filled}
        written = _one_of(words).sub(lambda found: words[found[0]], self.written)
        return self.typed.replace("{}", written)


def _one_of(words: Iterable[str]) -> re.Pattern[str]:
    longest_first = sorted(map(re.escape, words), key=len, reverse=True)
    return re.compile(rf"(?<![\w$-])(?:{'|'.join(longest_first)})(?!\w)")


ONE = "in hello-1.0-0.conda"
OTHER = "in other-1.0-0.conda"
INSTALLED = "installed hello-1.0-0.json"
INSTALL = "conda create --yes --name hello {} hello; installed"
UPLOAD = 'rattler-build upload prefix --url "$HOST" --api-key "$TOKEN"'
UPLOAD_TO_ORG = 'rattler-build upload anaconda --api-key "$TOKEN"'
IMPORT = "condarium import conda-bld"
ALIAS = "conda config --set channel_alias $HOST/conda; "


def _rule(channel: str) -> str:
    """Imports two packages into the channel, and has a rule that takes one of them out."""
    rule = f'{{"channel": "{channel}", "remove_pattern": "hello", "is_enabled": true}}'
    return f"{IMPORT} acme/{channel}; send /api/v1/accounts/acme/retention '{rule}'"


def _move_in(name: str, options: str = "--api $HOST/api {}") -> str:
    """Takes an account of this very host over, instead of one elsewhere."""
    moved = f"condarium import anaconda old-account {name} {options}"
    return f"condarium createorg {name} --owner ada; {moved}; get /api/packages/{name}"


TYPED = (
    # First, since anaconda's client would else ask a host elsewhere.
    Typed(
        "anaconda",
        "anaconda config --set url https://condarium.example.com/api",
        "{}; anaconda config --get url",
        (r"http://127\.0\.0\.1:\d+/api",),
    ),
    # --- README -----------------------------------------------------------------------------------
    Typed("README", "make help", "make -C $PROJECT help", ("make run\t", "make bench\t")),
    Typed(
        "README",
        "-c https://condarium.example.com/conda/t/<token>/acme/label/internal",
        "conda create -n hidden {} hello; installed; mamba create -n hidden {} hello; installed",
        (rf"{INSTALLED}\n[^\n]*\n?{INSTALLED}",),
    ),
    Typed(
        "README",
        "machine condarium.example.com login token password <token>",
        "echo {} > .netrc; "
        "curl --fail --netrc $HOST/conda/acme/label/internal/noarch/repodata.json",
        ("hello-1.0-0.conda",),
    ),
    Typed(
        "README",
        "pixi auth login condarium.example.com --token <token>",
        "{}; pixi init hidden --channel $HOST/conda/acme/label/internal; "
        "cd hidden; pixi add hello; cd ..; installed",
        (INSTALLED,),
    ),
    Typed(
        "README",
        "condarium createuser NAME --email ADDRESS --password-stdin",
        '{} <<< "$PASSWORD"; get /api/user/eva',
        ("Made the user eva", '"user_type": ?"user"'),
        filled={"NAME": "eva", "ADDRESS": "eva@example.org"},
    ),
    Typed(
        "README",
        "--superuser",
        'condarium createuser uma --email uma@example.org --password-stdin {} <<< "$PASSWORD"; '
        "ask \"SELECT email, is_superuser FROM accounts_user WHERE username = 'uma'\"",
        ("uma@example.org 1",),
    ),
    Typed(
        "operating",
        "condarium createuser NAME --superuser …",
        '{} <<< "$PASSWORD"; '
        "ask \"SELECT email, is_superuser FROM accounts_user WHERE username = 'una'\"",
        ("una@example.org 1",),
        filled={"NAME": "una", "…": "--email una@example.org --password-stdin"},
    ),
    Typed(
        "README",
        "condarium createorg NAME --owner USER",
        "{}; get /api/user/lab; get /api/v1/accounts/lab/members",
        ('"user_type": ?"org"', '"ada"'),
        filled={"NAME": "lab"},
    ),
    Typed(
        "moving-from-anaconda",
        "condarium createorg acme --owner olga",
        'condarium createuser olga --email olga@example.org --password-stdin <<< "$PASSWORD"; '
        "{}; get /api/user/moved",
        ('"user_type": ?"org"',),
        filled={"acme": "moved"},
    ),
    Typed(
        "README",
        "condarium createtoken ACCOUNT --name TEXT --scope SCOPE --expires 90d",
        '{} > made; grep -x "cph-[0-9A-Za-z]*" made; wc -l < made; '
        "TOKEN=$(cat made) get /api/authentication",
        (r"^1$", '"scopes": ?["api:read"]'.replace("[", r"\["), "Back at noon"),
    ),
    Typed(
        "README",
        "condarium switch NAME on|off --message TEXT",
        "{}; soon sees /account/signup/ 'Back at noon'; condarium switch sign-up on",
        ("sign-up",),
        filled={"NAME": "sign-up"},
    ),
    Typed(
        "README",
        "condarium import SOURCE ACCOUNT/CHANNEL",
        "{}; files acme/taken",
        (ONE, OTHER),
    ),
    Typed("README", "condarium verify ACCOUNT", prints=(r"All is whole: [1-9]",)),
    Typed(
        "README",
        "condarium reindex ACCOUNT/CHANNEL",
        prints=(r"Up to date: [1-9] subdirs of 1 channel\.",),
        filled={"ACCOUNT/CHANNEL": "acme/main"},
    ),
    Typed(
        "README",
        "condarium quota ACCOUNT",
        prints=(r"in-text keeps .* in [1-9]\d* package files",),
    ),
    Typed(
        "README",
        "--bytes 3GB --files N",
        "condarium createorg small --owner ada; condarium quota small {}",
        (r"3(\.0)?.GB", "of 2 package files"),
    ),
    Typed(
        "operating",
        "condarium quota",
        "condarium createorg full --owner ada; {} full --files 1; "
        "anaconda upload --user full plain-1.0-0.conda; "
        "if anaconda upload --user full hello-1.0-0.conda; then exit 1; fi; files full/main",
        ("in plain-1.0-0.conda", "full has used 1 package file of 1"),
        lacks=ONE,
    ),
    Typed(
        "README",
        "condarium retention ACCOUNT/CHANNEL",
        f"{_rule('aged')}; {{}}; files acme/aged",
        (r"aged, rule \d+: .* on; 1 file would go", ONE),
        filled={"ACCOUNT/CHANNEL": "acme/aged"},
    ),
    Typed(
        "README",
        "--run",
        f"{_rule('old')}; condarium retention acme/old {{}}; files acme/old",
        (r"old, rule \d+: 1 file taken out", OTHER),
        lacks=ONE,
    ),
    Typed(
        "retention",
        "condarium retention --run",
        f"{_rule('older')}; {{}}; files acme/older",
        (r"older, rule \d+: 1 file taken out", OTHER),
        lacks=ONE,
    ),
    # --- The commands of operators elsewhere ------------------------------------------------------
    Typed(
        "deploying",
        "condarium reindex",
        # As after a restore without them.
        f"condarium createorg restored --owner ada; {IMPORT} restored; "
        "cd $DATA/files/index/$(ask 'SELECT max(id) FROM registry_channel'); rm -r *; "
        "if get /conda/restored/noarch/repodata.json; then exit 1; fi; "
        "{}; get /conda/restored/noarch/repodata.json",
        (r"Up to date: [1-9]\d* subdirs of [1-9]\d* channels\.", '"hello-1.0-0.conda"'),
    ),
    Typed("deploying", "condarium verify", prints=("All is whole: [1-9]",)),
    Typed("importing", "condarium import", "{} conda-bld acme/there; files acme/there", (ONE,)),
    Typed(
        "attestations",
        "condarium import",
        "condarium createorg attested --owner ada; mkdir -p signed/noarch; "
        "cp hello-1.0-0.conda signed/noarch; "
        "(echo [; cat bundle.json; echo ]) > signed/noarch/hello-1.0-0.conda.sigs; "
        "{} signed attested; get /conda/attested/noarch/hello-1.0-0.conda.sigs",
        ("dsseEnvelope",),
    ),
    Typed(
        "importing",
        "--as USER",
        # An owner without it, who would be ada; first she may not.
        'condarium createuser nina --email nina@example.org --password-stdin <<< "$PASSWORD"; '
        f"if {IMPORT} acme/as {{}}; then exit 1; fi; "
        """send /api/v1/accounts/acme/members '{"user": "nina", "role": "admin"}'; """
        f"{IMPORT} acme/as {{}}; files acme/as; get /api/v1/accounts/acme/events",
        (ONE, '"actor": ?"nina"'),
        filled={"USER": "nina"},
    ),
    Typed(
        "importing",
        "--subdir SUBDIR",
        f"{IMPORT} acme/one {{}}; files acme/one",
        (ONE,),
        lacks=OTHER,
    ),
    Typed(
        "importing",
        "--package PATTERN",
        f"{IMPORT} acme/some {{}}; files acme/some",
        (ONE,),
        lacks=OTHER,
    ),
    Typed(
        "importing",
        "--link",
        "condarium createorg linked --owner ada; mkdir links; cp -L sole-1.0-0.conda links; "
        "condarium import links linked {}; "
        "find $DATA/files -samefile links/sole-1.0-0.conda -printf 'is %f\n'",
        ("is [0-9a-f]{16}",),
    ),
    Typed("importing", "--processes N", f"{IMPORT} acme/fast {{}}; files acme/fast", (ONE,)),
    Typed(
        "importing",
        "--no-index",
        f"{IMPORT} acme/later {{}}; "
        "soon sees /conda/acme/label/later/noarch/repodata.json hello-1; files acme/later",
        (ONE,),
        lacks="Indexing",
    ),
    # --- Taking an account of anaconda.org over ---------------------------------------------------
    Typed(
        "moving-from-anaconda",
        "--api URL",
        _move_in("by-api", "{}"),
        ('"name": ?"hello"',),
        lacks='"name": ?"plain"',
    ),
    Typed(
        "moving-from-anaconda",
        "condarium import anaconda OWNER ACCOUNT",
        "condarium createorg renamed --owner ada; {} --api $HOST/api; files renamed/main",
        (ONE,),
        filled={"ACCOUNT": "renamed"},
    ),
    Typed(
        "moving-from-anaconda",
        "--label LABEL",
        f"{_move_in('by-label')}; files by-label/dev",
        ("in sole-1.0-0.conda",),
        lacks='"name": ?"hello"',
    ),
    Typed(
        "moving-from-anaconda",
        "--unlabelled CHANNEL",
        f"{_move_in('by-none')}; files by-none/left-over",
        ("in plain-1.0-0.conda",),
    ),
    Typed(
        "moving-from-anaconda",
        "--token-file FILE",
        "echo $TOKEN > token.txt; export ANACONDA_API_TOKEN=; "
        + _move_in("by-token", "--api $HOST/api")
        + " > before; if grep hidden before; then exit 1; fi; "
        "condarium import anaconda old-account by-token --api $HOST/api {}; "
        "get /api/packages/by-token",
        ('"name": ?"hidden"',),
    ),
    Typed(
        "moving-from-anaconda",
        "condarium import anaconda acme",
        "{} --api $HOST/api",
        (r"\b0 published", r"\b0 refused"),
    ),
    # --- anaconda's client ------------------------------------------------------------------------
    Typed(
        "anaconda",
        "anaconda update",
        "anaconda upload --user acme said-1.0-0.conda; "
        """echo '{"summary": "Said anew"}' > about.json; {} acme/said about.json; """
        "get /api/package/acme/said",
        ('"summary": ?"Said anew"',),
    ),
    Typed(
        "anaconda moving-from-anaconda",
        "--summary",
        "anaconda upload --user acme {} 'By hand' made-1.0-0.conda; get /api/package/acme/made; "
        "anaconda remove --force acme/made",
        ('"summary": ?"By hand"',),
    ),
    Typed(
        "publishing",
        "anaconda upload --summary",
        "{} 'By another hand' --user acme made-1.0-0.conda; get /api/package/acme/made; "
        "anaconda remove --force acme/made",
        ('"summary": ?"By another hand"',),
    ),
    Typed(
        "anaconda publishing",
        "anaconda package --create",
        "{} acme/created --summary 'Before its files'; "
        "anaconda upload --user acme created-1.0-0.conda; get /api/package/acme/created",
        ('"summary": ?"Before its files"', "created-1.0-0.conda"),
    ),
    Typed(
        "anaconda",
        "anaconda upload --force",
        "anaconda upload --user acme forced-1.0-0.conda; "
        "{} --user acme again/forced-1.0-0.conda; "
        "sha256sum again/forced-1.0-0.conda | cut -d ' ' -f 1 > wanted; "
        "get /api/package/acme/forced | grep --only-matching --file wanted | sed 's/^/now /'",
        ("now [0-9a-f]{64}",),
    ),
    Typed(
        "moving-from-anaconda",
        "--force",
        "anaconda upload --user acme over-1.0-0.conda; "
        "anaconda upload --user acme {} again/over-1.0-0.conda; "
        "sha256sum again/over-1.0-0.conda | cut -d ' ' -f 1 > wanted; "
        "get /api/package/acme/over | grep --only-matching --file wanted | sed 's/^/now /'",
        ("now [0-9a-f]{64}",),
    ),
    Typed(
        "moving-from-anaconda",
        "--skip-existing",
        "anaconda upload --user acme skipped-1.0-0.conda; "
        "anaconda upload --user acme {} skipped-1.0-0.conda",
        ("already exists. Skipping",),
    ),
    Typed(
        "moving-from-anaconda",
        "--private",
        "anaconda upload --user acme {} secret-1.0-0.conda; get /api/package/acme/secret",
        ('"public": ?false',),
    ),
    Typed(
        "configuration github-actions",
        "anaconda upload",
        "{} --user acme plain-1.0-0.conda; files acme/main",
        ("Upload complete", "in plain-1.0-0.conda"),
    ),
    Typed(
        "gitlab-ci",
        "--label dev",
        "anaconda upload --user acme {} from-gitlab-1.0-0.conda; files acme/dev",
        ("in from-gitlab-1.0-0.conda",),
    ),
    Typed(
        "anaconda",
        "anaconda move",
        "anaconda upload --user acme --label rc moved-1.0-0.conda; "
        "{} acme/moved/1.0 --from-label rc --to-label stable; files acme/stable; "
        "if get /api/channels/acme/rc | grep moved-1; then exit 1; fi",
        ("in moved-1.0-0.conda",),
    ),
    Typed(
        "anaconda",
        "anaconda channel notice",
        "{} create acme --message 'Moved elsewhere' --level warning --expires-after 9 > made; "
        "id=$(grep --only-matching --max-count 1 -E '[0-9a-f]{8}-[0-9a-f-]{27}' made | head -n 1); "
        "{} publish acme $id --force; get /conda/acme/notices.json",
        ('"message": ?"Moved elsewhere"',),
    ),
    Typed("searching", "anaconda search hello", prints=("in-text/hello",)),
    Typed(
        "deleting",
        "anaconda remove acme/hello/1.0",
        "{}; files for-deleted/main; condarium import conda-bld for-deleted --package other; "
        "files for-deleted/main",
        (OTHER,),
        lacks=ONE,
        filled={"acme": "for-deleted"},
    ),
    # --- Other clients ----------------------------------------------------------------------------
    Typed(
        "github-actions",
        "--channel acme/dev",
        f"{UPLOAD} {{}} --skip-existing from-github-1.0-0.conda; files acme/dev",
        ("in from-github-1.0-0.conda",),
    ),
    Typed(
        "jenkins",
        "--channel acme/dev",
        f"{UPLOAD} {{}} --skip-existing from-jenkins-1.0-0.conda; files acme/dev",
        ("in from-jenkins-1.0-0.conda",),
    ),
    Typed(
        "publishing",
        "--force",
        f"{UPLOAD} --channel acme replaced-1.0-0.conda; "
        f"{UPLOAD} --channel acme {{}} again/replaced-1.0-0.conda; "
        "sha256sum again/replaced-1.0-0.conda | cut -d ' ' -f 1 > wanted; "
        "get /api/package/acme/replaced | grep --only-matching --file wanted | sed 's/^/now /'",
        ("now [0-9a-f]{64}",),
    ),
    Typed(
        "attestations",
        "rattler-build upload prefix",
        "{} --url $HOST --api-key $TOKEN --channel acme attested-1.0-0.conda; files acme/main",
        ("in attested-1.0-0.conda",),
    ),
    Typed(
        "attestations",
        "--attestation bundle.json",
        f"if {UPLOAD} --channel acme/refused {{}} hello-1.0-0.conda; then exit 1; fi",
        ("cannot be used with an API key",),
    ),
    Typed(
        "moving-from-anaconda",
        "rattler-build upload anaconda",
        "ANACONDA_SERVER_URL=$HOST/api {} --api-key $TOKEN --owner acme --channel dev "
        "by-name-1.0-0.conda; files acme/dev",
        ("in by-name-1.0-0.conda",),
    ),
    Typed(
        "moving-from-anaconda",
        "--url https://condarium.example.com/api",
        f"{UPLOAD_TO_ORG} {{}} --owner acme --channel dev by-url-1.0-0.conda; files acme/dev",
        ("in by-url-1.0-0.conda",),
    ),
    Typed("installing", "--channel acme", f"{ALIAS}{INSTALL}", (INSTALLED,)),
    Typed("moving-from-anaconda", "-c acme", f"{ALIAS}{INSTALL}", (INSTALLED,)),
    Typed(
        "moving-from-anaconda",
        "-c acme/label/dev",
        f"{UPLOAD} --channel acme/dev --skip-existing from-dev-1.0-0.conda; "
        f"{ALIAS}soon conda create --yes --name dev {{}} from-dev; installed",
        ("installed from-dev-1.0-0.json",),
    ),
    Typed(
        "installing",
        "conda list --explicit --auth",
        "conda create --yes --name hello --channel $HOST/conda/t/$TOKEN/acme/label/internal hello; "
        "{} --name hello; if conda list --explicit --name hello | grep $TOKEN; then exit 1; fi",
        (r"^http://127\.0\.0\.1:\d+/\S*/t/cph-[0-9A-Za-z]+/\S+/hello-1\.0-0\.conda",),
    ),
)


def unheard_of() -> list[str]:
    """What stands in running text, and in nothing above; and what stands above only."""
    written, exempt = set(), set()
    of_blocks = {
        path.stem: "".join(block.text for block in blocks_of(path) if block.language in RUN)
        for path in DOCUMENTS
    }
    typed = {(stem, one.written) for one in TYPED for stem in one.documents.split()}
    missing = []
    for span in (span for path in DOCUMENTS for span in spans_of(path)):
        if not _is_command(span):
            exempt.add(span.text)
            continue
        written.add((span.place, span.text))
        in_block = re.search(rf"(?<!\S){re.escape(span.text)}(?!\S)", of_blocks[span.place])
        if not (in_block or span.text in RUN_ELSEWHERE or (span.place, span.text) in typed):
            missing.append(f"{span.place}: nobody runs `{span.text}`")
    gone = [f"{stem}: has no `{text}` any more" for stem, text in typed - written]
    texts = {text for _, text in written}
    gone += [f"no document has `{text}` any more" for text in RUN_ELSEWHERE if text not in texts]
    gone += [f"no document has `{text}` any more" for text in set(NO_COMMANDS) - exempt]
    unused = set(FILLED) - {word for one in TYPED for word in _one_of(FILLED).findall(one.written)}
    return [*missing, *gone, *(f"nothing is filled in for {word}" for word in unused)]


def _is_command(span: Block) -> bool:
    """Whether it is one, or an option of one."""
    if re.match(r"--?[a-z]", span.text):
        return True
    is_none = span.text in NO_COMMANDS or _NO_COMMAND.fullmatch(span.text)
    return " " in span.text and not is_none
