"""`unetsweep client`: print the client for programs of the user."""

import click

from unetsweep.app.client import client_source
from unetsweep.cli.echo import echo_text


@click.command("client")
@click.option(
    "--lightning", is_flag=True, help="Print the callback of PyTorch Lightning, which is used with the client."
)
def command(lightning: bool) -> None:
    """Print the client, with which a Python program of your own takes part in a sweep.

    Redirect it into a file beside your program: unetsweep client > unetsweep_client.py. It is one file for Python 3.8
    or later that needs no other package, so it works in a container or another environment. Where unetsweep is
    installed, `from unetsweep import client` is the same.
    """
    echo_text(client_source(lightning=lightning))
