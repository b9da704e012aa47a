"""Whom to trust: who answers how, found from the answers themselves.

`crowd_bt` fits items and people together from comparisons, `dawid_skene` tasks and people from labels; `reliability`
gives what is known of each person once something else (a learned reward) says which answer was likely. `collusion` and
`poisoning` look for what reliability alone does not show, `influence` caps what anybody weighs, `verdicts` says it in
words. `groups` keeps people apart who honestly want different things, and `deciding` says whose wish counts. NumPy
only.
"""
