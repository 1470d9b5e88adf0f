"""``carnet demo``: the main job on real input, told in plain words.

Uses the public SDK and nothing else of Carnet, as a team's own jobs would.
"""
