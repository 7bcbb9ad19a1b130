from assets.boost_qa.near_duplicates import DialogueQuestions, near_duplicates

APPLES = "Ann has three red apples and buys four more apples at the market. How many apples does she have now?"
ALMOST = APPLES.replace("Ann", "Tom").replace("?", " ?")
OTHER = "How far does a train go in three hours at sixty miles an hour?"


def found(*asked: DialogueQuestions) -> dict[str, str]:
    ordered = sorted(asked, key=lambda one: one.split == "train")
    return {pair.dialogue_id: pair.kept for pair in near_duplicates(ordered, 0.7)}


def test_the_training_copy_stays_and_the_held_out_one_leaves() -> None:
    asked = (
        DialogueQuestions("a", "train", (APPLES,)),
        DialogueQuestions("b", "test", (ALMOST,)),
        DialogueQuestions("c", "validation", (OTHER,)),
    )
    assert found(*asked) == {"b": "a"}


def test_between_validation_and_test_the_validation_copy_stays() -> None:
    assert found(DialogueQuestions("a", "validation", (APPLES,)), DialogueQuestions("b", "test", (ALMOST,))) == {
        "b": "a"
    }


def test_a_validation_copy_that_leaves_takes_no_test_copy_with_it_but_training_does() -> None:
    asked = (
        DialogueQuestions("t", "train", (APPLES,)),
        DialogueQuestions("v", "validation", (ALMOST,)),
        DialogueQuestions("x", "test", (APPLES,)),
    )
    assert found(*asked) == {"v": "t", "x": "t"}


def test_duplicates_within_a_split_are_left_alone() -> None:
    assert found(DialogueQuestions("a", "test", (APPLES,)), DialogueQuestions("b", "test", (APPLES,))) == {}


def test_an_analogys_second_question_counts_too() -> None:
    assert found(DialogueQuestions("a", "train", (OTHER, APPLES)), DialogueQuestions("b", "test", (ALMOST,))) == {
        "b": "a"
    }


def test_short_questions_that_differ_in_an_operator_are_different() -> None:
    assert found(DialogueQuestions("a", "train", ("3 + 4",)), DialogueQuestions("b", "test", ("3 * 4",))) == {}


def test_short_questions_that_are_the_same_are_found() -> None:
    assert found(DialogueQuestions("a", "train", ("Capital?",)), DialogueQuestions("b", "test", ("capital ?",))) == {
        "b": "a"
    }
