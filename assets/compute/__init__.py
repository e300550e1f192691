"""How steps are computed: on Ray or in this process, with progress. Nothing else in Headwater imports Ray."""
