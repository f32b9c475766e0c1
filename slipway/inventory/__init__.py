"""What an image holds, told by the image itself: its layers are read, none of its programs is run.

`layers` finds the files that tell, `parts` understands them, `document` writes CycloneDX.
"""
