"""Writes the generated blocks of the pages: what stands between these two lines is made from the code.

    <!-- generated: settings -->
    <!-- end -->

`make docs` writes them, `make check` refuses a page that is not current. What a block says is the
function of its name in `BLOCKS`; everything around it is written by hand.
"""
